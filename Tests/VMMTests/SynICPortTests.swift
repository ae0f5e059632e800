import GuestMemory
import MachineSpecification
import TestSupport
import Testing
import ZeroTracker

@testable import VMM

/// Slots of messages, and what a machine needs for VMBus.
@Suite("SynIC messages")
struct SynICPortTests {
  private static let page: UInt64 = 0x500
  /// Of source 2.
  private static let slot: UInt64 = page << 12 + 512

  private func memory() throws -> GuestMemory {
    try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 16 << 20))
  }

  private func deliver(
    _ message: [UInt8], to page: UInt64? = page, _ memory: GuestMemory
  ) -> SynICPort.Delivery {
    SynICPort.deliver(message, toPage: page, source: 2, in: memory)
  }

  @Test("a free slot gets type, length and bytes")
  func freeSlot() throws {
    let memory = try memory()
    #expect(deliver([0xAA, 0xBB, 0xCC], memory) == .done)
    let bytes = try memory.read(at: GPA(Self.slot - 16), byteCount: 48)
    #expect(bytes[..<16].allSatisfy { $0 == 0 })
    #expect(
      Array(bytes[16..<36]) == [
        1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xAA, 0xBB, 0xCC, 0,
      ])
    #expect(
      memory.tracker.snapshot().whyWithheld(GPN(rawValue: Self.page)).isTouched)
  }

  @Test("a slot that is taken keeps what is in it, and the guest is to say when it is free")
  func busySlot() throws {
    let memory = try memory()
    #expect(deliver([1], memory) == .done)
    let before = try memory.read(at: GPA(Self.slot), byteCount: 256)
    #expect(deliver([2], memory) == .isBusy)
    var after = try memory.read(at: GPA(Self.slot), byteCount: 256)
    #expect(after[5] == 1)
    after[5] = 0
    #expect(after == before)
    try memory.store(0 as UInt32, at: GPA(Self.slot))
    #expect(deliver([2], memory) == .done)
    #expect(try memory.load(at: GPA(Self.slot + 5), as: UInt8.self) == 0)
    #expect(try memory.load(at: GPA(Self.slot + 16), as: UInt8.self) == 2)
  }

  @Test("without a page, or with one that is no RAM, messages are lost")
  func noPage() throws {
    let memory = try memory()
    for page in [nil, 0x1000, 1 << 51, .max] as [UInt64?] {
      #expect(deliver([1], to: page, memory) == .isLost)
    }
  }

  @Test("bits are set in one step, and marked")
  func bits() throws {
    let memory = try memory()
    let place = GPA(0x60_0008)
    #expect(try memory.setBits(1 << 63, at: place) == 0)
    #expect(try memory.setBits(1 << 63 | 2, at: place) == 1 << 63)
    #expect(try memory.load(at: place, as: UInt64.self) == 1 << 63 | 2)
    #expect(memory.tracker.snapshot().whyWithheld(place.page).isTouched)
    #expect(throws: GuestMemoryError.self) { try memory.setBits(1, at: GPA(16 << 20)) }
  }

  @Test(
    "a host without the kernel's interface says what is missing",
    .enabled(if: Host.hasKVM && !Host.hasKernelTransport, "needs KVM without CONFIG_KVM_HYPERV"),
    .timeLimit(.minutes(5)))
  func noKernelInterface() throws {
    let kernel = BootFile(SyntheticImages.bzImage(code: [0xEB, 0xFE]), name: "synthetic")
    var configuration = MachineConfiguration(
      .linux(LinuxGuest(kernel: kernel, commandLine: "")), memoryByteCount: 64 << 20)
    configuration.computer.hasVMBus = true
    do {
      _ = try Machine(configuration, control: MachineControl())
      Issue.record("it was made")
    } catch {
      #expect(
        "\(error)".hasPrefix(
          "VMBus needs Hyper-V's interface in the kernel, and this machine's is not there; use a"))
    }
  }
}
