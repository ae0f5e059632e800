import Devices
import Foundation
import GuestMemory
import Synchronization
import Testing
import VMM

/// A PC with a kernel of a few bytes: the devices are where they should be, and end the machine as
/// they should.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct PersonalComputerTests {
  /// mov dx, port; mov eax, value; out dx, al / ax / eax
  private static func out(_ port: UInt16, _ value: UInt32, width: Int) -> [UInt8] {
    let move: [UInt8] = [0x66, 0xBA, UInt8(port & 0xFF), UInt8(port >> 8), 0xB8] + bytes(value)
    switch width {
    case 1: return move + [0xEE]
    case 2: return move + [0x66, 0xEF]
    default: return move + [0xEF]
    }
  }
  /// mov dx, port; in eax, dx
  private static func input(_ port: UInt16) -> [UInt8] {
    [0x66, 0xBA, UInt8(port & 0xFF), UInt8(port >> 8), 0xED]
  }
  private static func bytes(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
  }
  /// mov ecx, address; mov eax, [rcx]: by a register, as an address in the instruction is
  /// sign-extended.
  private static func load(_ address: UInt32) -> [UInt8] {
    [0xB9] + bytes(address) + [0x8B, 0x01]
  }
  /// The four bytes of EAX to the serial port: mov dx, 0x3F8; then out dx, al; shr eax, 8, four
  /// times.
  private static let print: [UInt8] = [
    0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xC1, 0xE8, 0x08, 0xEE, 0xC1, 0xE8, 0x08, 0xEE, 0xC1, 0xE8, 0x08,
    0xEE,
  ]
  private static let powerOff = out(0x604, 1 << 13, width: 2)
  private static let wait: [UInt8] = [0xEB, 0xFE]

  private func run(
    _ code: [UInt8], disks: [any BlockStore] = [], vcpuCount: Int = 1,
    whileRunning: (MachineControl, PersonalComputer) async throws -> Void = { _, _ in }
  ) async throws -> (outcome: MachineOutcome, output: [UInt8]) {
    let output = Mutex<[UInt8]>([])
    let kernel = BootFile(SyntheticImages.bzImage(code: code + Self.wait), name: "synthetic")
    var configuration = MachineConfiguration.confined(
      .linux(LinuxGuest(kernel: kernel, commandLine: "")), memoryByteCount: 64 << 20,
      vcpuCount: vcpuCount)
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
    let code = "Hi\n".utf8.flatMap { Self.out(0x3F8, UInt32($0), width: 1) } + Self.powerOff
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
    ("0xCF9", out(0xCF9, 0x06, width: 1)), ("0x92", out(0x92, 0x01, width: 1)),
    ("0x64", out(0x64, 0xFE, width: 1)), ("ud2", [0x0F, 0x0B]),
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
    var code = Self.out(0xCF8, 0x8000_0000, width: 4) + Self.input(0xCFC) + Self.print
    // 00:1f.0, the class of 00:01.0, and nobody at 00:02.0.
    for address in [0xB00F_8000, 0xB000_8008, 0xB001_0000] as [UInt32] {
      code += Self.load(address) + Self.print
    }
    let (outcome, output) = try await run(
      code + Self.powerOff, disks: [try RawImageStore(path: path)])
    guard case .poweredOff = outcome else {
      Issue.record("\(outcome)")
      return
    }
    let words = stride(from: 0, to: output.count, by: 4).map { start in
      output[start..<start + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    }
    #expect(words.count == 4)
    #expect(words[0] == 0x29C0_8086)
    #expect(words[1] == 0x2918_8086)
    #expect(words[2] >> 8 == 0x01_0802)
    #expect(words[3] == 0xFFFF_FFFF)
  }

  @Test func thePowerButtonReachesAListener() async throws {
    // PM1_EN.PWRBTN_EN; say so; until PM1_STS.PWRBTN_STS: in eax, 0x600; test ah, 1; jz back.
    let listen = Self.out(0x602, 0x100, width: 2) + Self.out(0x3F8, 0x21, width: 1)
    let poll: [UInt8] = Self.input(0x600) + [0xF6, 0xC4, 0x01]
    let again: [UInt8] = [0x74, UInt8(bitPattern: Int8(-(poll.count + 2)))]
    let (outcome, _) = try await run(listen + poll + again + Self.powerOff) { _, computer in
      while !computer.pressPowerButton() { await Task.yield() }
    }
    guard case .poweredOff = outcome else {
      Issue.record("\(outcome)")
      return
    }
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
