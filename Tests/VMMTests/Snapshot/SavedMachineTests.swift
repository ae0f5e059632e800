import DeviceKit
import Devices
import Glibc
import GuestMemory
import HyperVCore
import MachineSpecification
import Synchronization
import TestSupport
import Testing
import ZeroTracker

@testable import VMM

/// A machine is saved while it runs, and another one goes on from there.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct SavedMachineTests {
  /// Counts in a register and in memory, and ends the run as soon as the two differ or time goes
  /// back: neither vCPU may lose an instruction, nor do one twice. The second vCPU, once started,
  /// has the next 8 bytes of memory.
  private static let program: [UInt8] = [
    0x31, 0xC9,  // xor ecx, ecx
    0x31, 0xDB,  // xor ebx, ebx
    0xE6, 0xEC,  // round: out 0xEC, al: start the others (again and again, which does nothing)
    0x48, 0xFF, 0xC1,  // inc rcx
    0x48, 0xFF, 0x04, 0xF5, 0x00, 0x00, 0x20, 0x00,  // inc qword [rsi*8 + 0x200000]
    0x48, 0x3B, 0x0C, 0xF5, 0x00, 0x00, 0x20, 0x00,  // cmp rcx, [rsi*8 + 0x200000]
    0x75, 0x13,  // jne wrong
    0x0F, 0x31,  // rdtsc
    0x48, 0xC1, 0xE2, 0x20,  // shl rdx, 32
    0x48, 0x09, 0xD0,  // or rax, rdx
    0x48, 0x39, 0xD8,  // cmp rax, rbx
    0x72, 0x05,  // jb wrong
    0x48, 0x89, 0xC3,  // mov rbx, rax
    0xEB, 0xD6,  // jmp round
    0xB0, 0x01,  // wrong: mov al, 1
    0xE6, 0xF4,  // out 0xF4, al
  ]

  private func configuration(
    _ control: MachineControl, _ transport: HyperVTransport
  ) -> MachineConfiguration {
    var configuration = MachineConfiguration.confined(
      program: Self.program, memoryByteCount: 16 << 20, vcpuCount: 2)
    configuration.hyperV = transport == .kernel ? .kernel : .userspace
    configuration.portDevices = [
      (PortRange(start: 0xEC, count: 1), SignalPort { _ in control.startSecondaryVCPUs() }),
      (ExitPort.ports, ExitPort { control.end(with: .exited(status: $0)) }),
    ]
    return configuration
  }

  private func counts(_ memory: GuestMemory) throws -> [UInt64] {
    try [0x20_0000, 0x20_0008].map { try memory.load(at: GPA($0)) }
  }

  /// Lets both vCPUs count on.
  private func waitForCounting(_ machine: Machine) async throws {
    let before = try counts(machine.memory)
    while try zip(counts(machine.memory), before).contains(where: { $0 == $1 }) {
      await Task.yield()
    }
  }

  /// Five times in a row, each from the one before; the one that was saved goes on as well.
  @Test(arguments: Host.transports)
  func bothGoOn(transport: HyperVTransport) async throws {
    let files = try (0..<5).map { _ in try SavedFile() }
    var restoration: MachineRestoration?
    var last: [UInt64] = [0, 0]
    for round in 0..<5 {
      let control = MachineControl()
      var configuration = configuration(control, transport)
      configuration.restoration = restoration
      let machine = try Machine(configuration, control: control)
      #expect(try counts(machine.memory) == last, "round \(round)")
      let outcome = Task { await machine.runOnThread() }
      try await waitForCounting(machine)
      #expect(try control.pause())
      last = try counts(machine.memory)
      let descriptor = files[round].descriptor
      let saved = try machine.save(memoryTo: descriptor)
      #expect(try counts(machine.memory) == last, "it is paused")
      control.resume()
      try await waitForCounting(machine)
      control.end(with: .stopped)
      guard case .stopped = await outcome.value else {
        Issue.record("the guest found something wrong in round \(round)")
        return
      }
      restoration = MachineRestoration(
        try SavedMachine(decoding: saved.encoded), memoryDescriptor: descriptor)
    }
  }

  /// Copies 16 numbers from a device that counts its reads, by one instruction: none may be missing
  /// or there twice. A wrong one resets the machine.
  private static let kernel: [UInt8] = {
    let place: UInt32 = 0xE000_0000
    let address = UInt32(1) << 31 | UInt32(CountingFunction.slot) << 11
    let round: [UInt8] =
      [0xBE] + KernelCode.bytes(place)  // mov esi, place
      + [
        0xBF, 0x00, 0x10, 0x40, 0x00,  // mov edi, 0x401000
        0xB9, 0x10, 0x00, 0x00, 0x00,  // mov ecx, 16
        0xF3, 0xA5,  // rep movsd
        0xBE, 0x00, 0x10, 0x40, 0x00,  // mov esi, 0x401000
        0xB9, 0x10, 0x00, 0x00, 0x00,  // mov ecx, 16
        0xAD,  // next: lodsd
        0x39, 0xD8,  // cmp eax, ebx
        0x75, 0x12,  // jne wrong
        0xFF, 0xC3,  // inc ebx
        0xFF, 0xC9,  // dec ecx
        0x75, 0xF5,  // jnz next
        0xB9, 0x00, 0x20, 0x40, 0x00,  // mov ecx, 0x402000
        0xFF, 0x01,  // inc dword [rcx]
      ]
    let back = UInt32(bitPattern: Int32(-(round.count + 5)))
    return KernelCode.out(0xCF8, address | 0x10, width: 4) + KernelCode.out(0xCFC, place, width: 4)
      + KernelCode.out(0xCF8, address | 4, width: 4) + KernelCode.out(0xCFC, 2, width: 2)
      + [0x31, 0xDB]  // xor ebx, ebx
      + round + [0xE9] + KernelCode.bytes(back)
      + KernelCode.out(0xCF9, 6, width: 1) + KernelCode.halt
  }()

  private func count(_ memory: GuestMemory) throws -> UInt32 {
    try memory.load(at: GPA(0x40_2000))
  }

  /// An instruction with many accesses, of which the machine that is saved has done some.
  @Test func accessesAreDoneOnce() async throws {
    var restoration: MachineRestoration?
    var files: [SavedFile] = []
    var generations: Set<[UInt8]> = []
    let kernel = BootFile(SyntheticImages.bzImage(code: Self.kernel), name: "synthetic")
    for _ in 0..<20 {
      let control = MachineControl()
      var configuration = MachineConfiguration.confined(
        .linux(LinuxGuest(kernel: kernel, commandLine: "")), memoryByteCount: 64 << 20)
      configuration.restoration = restoration
      configuration.computer.generation = GenerationID([UInt8](repeating: 1, count: 16))
      configuration.computer.pciDevices = [
        PCIDeviceConfiguration(slot: CountingFunction.slot) { CountingFunction($0) }
      ]
      let machine = try Machine(configuration, control: control)
      // The guest is told that it goes on from what was saved, and finds another generation.
      let generation = try #require(machine.computer?.generation)
      #expect(generations.insert(generation.value).inserted)
      #expect(machine.ports.read(port: 0x620, width: 4) == (restoration == nil ? 0 : 1 << 5))
      let before = try count(machine.memory)
      let outcome = Task { await machine.runOnThread() }
      while try count(machine.memory) < before + 3, control.outcome == nil { await Task.yield() }
      #expect(try control.pause())
      if let end = control.outcome {
        Issue.record("the guest found something wrong: \(end)")
        return
      }
      files.append(try SavedFile())
      let saved = try machine.save(memoryTo: files[files.count - 1].descriptor)
      control.end(with: .stopped)
      _ = await outcome.value
      restoration = MachineRestoration(
        saved, memoryDescriptor: files[files.count - 1].descriptor)
    }
  }
}

/// Counts the reads of its registers: each finds the next number.
private final class CountingFunction: PCIFunction {
  static let slot: UInt8 = 20
  let endpoint: PCIEndpoint
  private let next = Mutex<UInt32>(0)

  init(_ context: PCIContext) {
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x1234, device: 1, classCode: 0xFF_0000))
    space.addBAR(PCIBAR(index: 0, byteCount: 4096))
    endpoint = PCIEndpoint(space, context: context)
  }

  func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    next.withLock { next in
      defer { next &+= 1 }
      return UInt64(next)
    }
  }

  func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {}

  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    try next.withLock { (next) throws(StateError) in try transfer.integer(&next) }
  }
}

/// A file without a name, as long as this lives.
@safe final class SavedFile {
  private let file: UnsafeMutablePointer<FILE>

  init() throws {
    unsafe file = try unsafe #require(tmpfile())
  }

  deinit {
    unsafe fclose(file)
  }

  var descriptor: Int32 { unsafe fileno(file) }
}
