import GuestMemory
import HyperVCore
import Testing
import ZeroTracker

@testable import VMM

/// The message and event pages of KVM's SynIC, which start cleared.
@Suite struct SynICPageTests {
  private static let pages: UInt64 = 0x50_0000
  private static let eventPage: UInt64 = 0x51_0000
  private static let siefp: UInt64 = 0x4000_0082
  private static let simp: UInt64 = 0x4000_0083

  /// Which pages are cleared by which writes. Needs no KVM.
  @Test func pagesAreClearedWhenEnabledAndWhenMoved() throws {
    let memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 16 << 20), backing: .anonymous)
    let pages = SynICPages(memory: memory)
    func fill(_ page: UInt64) throws { try memory.store(0x55AA as UInt64, at: GPA(page + 4088)) }
    func isClear(_ page: UInt64) throws -> Bool {
      try memory.read(at: GPA(page), byteCount: 4096).allSatisfy { $0 == 0 }
    }
    func write(_ msr: UInt64, event: UInt64, message: UInt64) {
      pages.change(msr: UInt32(msr), eventPage: event, messagePage: message)
    }
    let (first, second) = (Self.pages, Self.eventPage)
    for page in [first, second] { try fill(page) }

    write(Self.simp, event: 0, message: first)  // An address, not enabled.
    #expect(try !isClear(first))
    write(Self.simp, event: 0, message: first | 1)
    #expect(try isClear(first) && !isClear(second))
    #expect(memory.tracker.snapshot().whyWithheld(GPN(rawValue: first >> 12)).isTouched)
    try fill(first)
    write(Self.simp, event: 0, message: first | 1)
    write(0x4000_0080, event: second | 1, message: first | 1)
    #expect(try !isClear(first) && !isClear(second), "enabled already; not the page's register")
    write(Self.siefp, event: second | 1, message: first | 1)
    #expect(try !isClear(first) && isClear(second))
    write(Self.simp, event: second | 1, message: first)
    write(Self.simp, event: second | 1, message: first | 1)
    #expect(try isClear(first), "enabled again")
    try fill(second)
    write(Self.simp, event: second | 1, message: second | 1)
    #expect(try isClear(second), "moved")
    // Addresses that are no RAM.
    for page in [16 << 20, 0xFEE0_0000, 0xFFFF_FFFF_FFFF_F000] as [UInt64] {
      write(Self.simp, event: page | 1, message: page | 1)
    }
  }

  @Test(
    .enabled(if: Host.hasKernelTransport, "needs the kernel's Hyper-V interface"),
    .timeLimit(.minutes(10)))
  func aGuestFindsThemClear() throws {
    let probe = try Probe(
      Probe.introduction + [
        .store(0x77, at: Self.pages + 0x123), .store(0x77, at: Self.eventPage + 0xFFF),
        .writeMSR(Self.simp, Self.pages | 1), .writeMSR(Self.siefp, Self.eventPage | 1),
      ], transport: .kernel)
    #expect(probe.outcome.exitStatus == 0)
    for page in [Self.pages, Self.eventPage] {
      let bytes = try probe.machine.memory.read(at: GPA(page), byteCount: 4096)
      #expect(bytes.allSatisfy { $0 == 0 }, "\(String(page, radix: 16))")
    }
  }

  /// A type in a message slot that nobody sent would keep the slot busy for ever.
  @Test(
    .enabled(if: Host.hasKernelTransport, "needs the kernel's Hyper-V interface"),
    .timeLimit(.minutes(10)))
  func aStaleSlotBlocksNoTimer() throws {
    let slot = Self.pages + 2 * 256
    let probe = try Probe(
      Probe.introduction + [
        .store(0x11, at: slot), .store(0x11, at: slot + 1), .store(0x11, at: slot + 2),
        .store(0x11, at: slot + 3),
        .writeMSR(0x4000_0080, 1), .writeMSR(Self.simp, Self.pages | 1),
        .writeMSR(0x4000_0092, 0x40),  // SINT2: vector 0x40
        .writeMSR(0x4000_00B1, 1),  // STIMER0_COUNT: long past
        .writeMSR(0x4000_00B0, 2 << 16 | 1),  // STIMER0_CONFIG: SINT2, enabled
        .readMSR(0x4000_0020),
      ], transport: .kernel)
    #expect(probe.outcome.exitStatus == 0)
    #expect(probe.steps.allSatisfy { $0.fault == nil })
    #expect(try probe.machine.memory.load(at: GPA(slot), as: UInt32.self) == 0x8000_0010)
  }
}
