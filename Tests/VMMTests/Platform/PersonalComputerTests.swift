import DeviceKit
import Devices
import Foundation
import GuestMemory
import Synchronization
import TestSupport
import Testing
import VMM

/// A PC with a kernel of a few bytes: the devices are where they should be, and end the machine as
/// they should.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct PersonalComputerTests {
  private func run(
    _ code: [UInt8], disks: [any BlockStore] = [], vcpuCount: Int = 1,
    memoryByteCount: UInt64 = 64 << 20, keptClock: RealTimeClock.Kept? = nil,
    whileRunning: (MachineControl, PersonalComputer) async throws -> Void = { _, _ in }
  ) async throws -> (outcome: MachineOutcome, output: [UInt8]) {
    let output = Mutex<[UInt8]>([])
    let kernel = BootFile(SyntheticImages.bzImage(code: code + KernelCode.halt), name: "synthetic")
    var configuration = MachineConfiguration.confined(
      .linux(LinuxGuest(kernel: kernel, commandLine: "")), memoryByteCount: memoryByteCount,
      vcpuCount: vcpuCount)
    configuration.computer.keptClock = keptClock
    configuration.computer.serialOutput = { byte in output.withLock { $0.append(byte) } }
    configuration.computer.disks = disks.enumerated().map {
      DiskConfiguration($1, serial: "\($0)")
    }
    let control = MachineControl()
    let machine = try Machine(configuration, control: control)
    let computer = try #require(machine.computer)
    let ended = Task { await machine.runOnThread() }
    try await whileRunning(control, computer)
    let outcome = await ended.value
    return (outcome, output.withLock { $0 })
  }

  @Test func theGuestPrintsAndSwitchesOff() async throws {
    let code =
      "Hi\n".utf8.flatMap { KernelCode.out(0x3F8, UInt32($0), width: 1) } + KernelCode.powerOff
    let (outcome, output) = try await run(code, vcpuCount: 3)
    guard case .poweredOff = outcome else {
      Issue.record("\(outcome)")
      return
    }
    #expect(output == Array("Hi\n".utf8))
  }

  /// The control register, the fast reset, the keyboard controller, and an exception that finds no
  /// handler.
  static let resets: [(String, [UInt8])] = [
    ("0xCF9", KernelCode.out(0xCF9, 0x06, width: 1)),
    ("0x92", KernelCode.out(0x92, 0x01, width: 1)),
    ("0x64", KernelCode.out(0x64, 0xFE, width: 1)), ("ud2", [0x0F, 0x0B]),
  ]

  @Test(arguments: resets)
  func everyWayToReset(name: String, code: [UInt8]) async throws {
    switch try await run(code).outcome {
    case .reset where name != "ud2", .tripleFault where name == "ud2": break
    case let outcome: Issue.record("\(name): \(outcome)")
    }
  }

  @Test func pciByPortsAndByMemory() async throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "disk-\(UUID())").path
    try Data(count: 1 << 20).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    var code =
      KernelCode.out(0xCF8, 0x8000_0000, width: 4) + KernelCode.input(0xCFC) + KernelCode.print
    // 00:1f.0, the class of 00:01.0, and nobody at 00:02.0.
    for address in [0xB00F_8000, 0xB000_8008, 0xB001_0000] as [UInt32] {
      code += KernelCode.load(address) + KernelCode.print
    }
    let (outcome, output) = try await run(
      code + KernelCode.powerOff, disks: [try RawImageStore(path: path)])
    guard case .poweredOff = outcome else {
      Issue.record("\(outcome)")
      return
    }
    let words = KernelCode.words(of: output)
    #expect(words.count == 4)
    #expect(words[0] == 0x29C0_8086)
    #expect(words[1] == 0x2918_8086)
    #expect(words[2] >> 8 == 0x01_0802)
    #expect(words[3] == 0xFFFF_FFFF)
  }

  /// Sizes in the clock's memory, with what a guest has left there: KiB from 1 MiB on, twice, and
  /// units of 64 KiB from 16 MiB and from 4 GiB on.
  @Test(
    arguments: [
      (64 << 20, [63 << 10, 63 << 10, 48 << 4, 0]),
      (GuestMemoryLayout.lowEnd.rawValue + 0xC000_0000, [0xFFFF, 0xFFFF, 2032 << 4, 3 << 14]),
    ] as [(UInt64, [UInt32])])
  func firmwareFindsHowMuchMemoryThereIs(memoryByteCount: UInt64, sizes: [UInt32]) async throws {
    let kept = RealTimeClock.Kept(memory: [0x34: 0xA5, 0x5D: 0xA5, 0x40: 0xA5])
    var code: [UInt8] = []
    for register in [0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x5B, 0x5C, 0x5D, 0x40] {
      code += KernelCode.out(0x70, UInt32(register), width: 1)
      // mov dx, 0x3F8; out dx, al
      code += KernelCode.inputByte(0x71) + [0x66, 0xBA, 0xF8, 0x03, 0xEE]
    }
    let (outcome, output) = try await run(
      code + KernelCode.powerOff, memoryByteCount: memoryByteCount, keptClock: kept)
    guard case .poweredOff = outcome else {
      Issue.record("\(outcome)")
      return
    }
    let expected =
      [640, sizes[0], sizes[1], sizes[2]].flatMap { KernelCode.bytes($0).prefix(2) }
      + KernelCode.bytes(sizes[3]).prefix(3) + [0xA5]
    #expect(output == expected)
  }

  @Test func thePowerButtonReachesAListener() async throws {
    // PM1_EN.PWRBTN_EN; say so; until PM1_STS.PWRBTN_STS: in eax, 0x600; test ah, 1; jz back.
    let listen = KernelCode.out(0x602, 0x100, width: 2) + KernelCode.out(0x3F8, 0x21, width: 1)
    let poll: [UInt8] = KernelCode.input(0x600) + [0xF6, 0xC4, 0x01]
    let again: [UInt8] = [0x74, UInt8(bitPattern: Int8(-(poll.count + 2)))]
    let (outcome, _) = try await run(listen + poll + again + KernelCode.powerOff) { _, computer in
      while !computer.pressPowerButton() { await Task.yield() }
    }
    guard case .poweredOff = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  /// A byte of the keyboard controller: until status bit 0 is set: in al, 0x64; test al, 1; jz
  /// back.
  private static let readInput: [UInt8] = {
    let poll: [UInt8] = KernelCode.inputByte(0x64) + [0xA8, 0x01]
    return poll + [0x74, UInt8(bitPattern: Int8(-(poll.count + 2)))] + KernelCode.inputByte(0x60)
  }()

  @Test func aKeyAndAMoveArriveByInterrupts1And12() async throws {
    let (localAPIC, ioAPIC): (UInt32, UInt32) = (0xFEE0_0000, 0xFEC0_0000)
    var code = KernelCode.store(localAPIC + 0xF0, 0x1FF)
    for (pin, vector): (UInt32, UInt32) in [(1, 0x51), (12, 0x61)] {
      code += KernelCode.store(ioAPIC, 0x11 + 2 * pin) + KernelCode.store(ioAPIC + 0x10, 0)
      code += KernelCode.store(ioAPIC, 0x10 + 2 * pin) + KernelCode.store(ioAPIC + 0x10, vector)
    }
    // Without interrupts: the mouse reports, and Scroll Lock is lit. Then with interrupts.
    for (port, byte): (UInt16, UInt32) in [
      (0x64, 0x60), (0x60, 0x44), (0x64, 0xD4), (0x60, 0xF4), (0x60, 0xED), (0x64, 0x60),
      (0x60, 0x47),
      (0x60, 0x01),
    ] {
      code += KernelCode.out(port, byte, width: 1)
      if port == 0x60, [0xF4, 0xED].contains(byte) { code += Self.readInput + KernelCode.print }
    }
    code += Self.readInput + KernelCode.print
    // Interrupts are off: the vectors stay in the request registers.
    for index: UInt32 in [0x51 / 32, 0x61 / 32] {
      code += KernelCode.wait(localAPIC + 0x200 + 16 * index) + KernelCode.print
      for _ in 0..<(index == 2 ? 1 : 3) { code += Self.readInput + KernelCode.print }
    }
    let (outcome, output) = try await run(code + KernelCode.powerOff) { _, computer in
      while computer.keyboard.lights != .scrollLock { await Task.yield() }
      computer.keyboard.setKey(KeyboardKey(rawValue: 0x04), isDown: true)
      for (x, buttons) in [(7, []), (10, [])] as [(Int, PointerButtons)] {
        computer.pointer.setPointer(
          PointerState(x: x, y: 0, width: 640, height: 480, buttons: buttons))
      }
    }
    guard case .poweredOff = outcome else {
      Issue.record("\(outcome)")
      return
    }
    let expected: [UInt32] = [0xFA, 0xFA, 0xFA, 1 << 0x11, 0x1E, 1 << 1, 8, 3, 0]
    #expect(KernelCode.words(of: output) == expected)
  }

  @Test func aGuestThatHaltsIsStoppedFromOutside() async throws {
    // cli; hlt: with interrupt controllers in the kernel that is no exit.
    let (outcome, _) = try await run([0xFA, 0xF4], vcpuCount: 2) { control, computer in
      #expect(!computer.pressPowerButton(), "it does not listen")
      try await Task.sleep(for: .milliseconds(20))
      control.end(with: .stopped)
    }
    guard case .stopped = outcome else {
      Issue.record("\(outcome)")
      return
    }
  }

  @Test func tooManyDisks() throws {
    let store = EmptyDisk()
    var configuration = MachineConfiguration.confined(
      .linux(
        LinuxGuest(
          kernel: BootFile(SyntheticImages.bzImage(), name: "synthetic"), commandLine: "")),
      memoryByteCount: 64 << 20)
    configuration.computer.disks = (0..<31).map { DiskConfiguration(store, serial: "\($0)") }
    let error = #expect(throws: MachineError.self) {
      _ = try Machine(configuration, control: MachineControl())
    }
    #expect(error?.description == "31 disks: at most 30 fit")
  }

  @Test func aBalloonIsSmallerThanMemory() throws {
    var configuration = MachineConfiguration.confined(
      .linux(
        LinuxGuest(
          kernel: BootFile(SyntheticImages.bzImage(), name: "synthetic"), commandLine: "")),
      memoryByteCount: 64 << 20)
    let balloon = Balloon(targetPageCount: 64 << 8)
    configuration.computer.balloon = balloon
    let error = #expect(throws: MachineError.self) {
      _ = try Machine(configuration, control: MachineControl())
    }
    #expect(error?.description == "a balloon of all of the guest's memory or more")
    balloon.targetPageCount -= 1
    let machine = try Machine(configuration, control: MachineControl())
    let activity = try #require(machine.computer?.balloon).activity
    #expect(activity.targetPageCount == (64 << 8) - 1)
    #expect(!activity.hasDriver)
  }

  @Test func serialNumbers() throws {
    var configuration = MachineConfiguration.confined(
      .linux(
        LinuxGuest(
          kernel: BootFile(SyntheticImages.bzImage(), name: "synthetic"), commandLine: "")),
      memoryByteCount: 64 << 20)
    for (serials, text) in [
      (["a", "b", "a"], "two disks have the serial number a"),
      (["a", ""], "disk 1: its serial number is not 1 to 20 characters of ASCII"),
    ] {
      configuration.computer.disks = serials.map { DiskConfiguration(EmptyDisk(), serial: $0) }
      let error = #expect(throws: MachineError.self) {
        _ = try Machine(configuration, control: MachineControl())
      }
      #expect(error?.description == text)
    }
  }
}
