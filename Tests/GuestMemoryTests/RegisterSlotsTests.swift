import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@Suite struct RegisterSlotsTests {
  private func untracked() throws -> GuestMemory {
    // Two regions: 2 GiB, and 64 MiB from 4 GiB on.
    try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 2 * gibibyte + 64 * mebibyte),
      granularity: TrackingGranularity(byteCount: 4096))
  }

  @Test func aSlotIsTheMemory() throws {
    let memory = try untracked()
    var lent: [MappedRegion] = []
    memory.registerSlots { regions in
      lent = regions
      return QuietGuest()
    }
    #expect(lent.map(\.start) == [GPA(0), GPA(0x1_0000_0000)])
    #expect(lent.map(\.byteCount) == [2 * gibibyte, 64 * mebibyte])
    for region in lent {
      try memory.store(0x1122_3344 as UInt32, at: GPA(region.start.rawValue + 0x5000))
      let pointer = unsafe UnsafePointer<UInt32>(bitPattern: region.hostAddress + 0x5000)
      #expect(unsafe try #require(pointer).pointee == 0x1122_3344)
    }
  }

  @Test func theSourceIsAttachedWithTheSlots() throws {
    let memory = try untracked()
    let source = QuietGuest()
    memory.registerSlots { _ in
      #expect(!memory.tracker.isTracking)
      return source
    }
    #expect(memory.tracker.isTracking)
    source.written.withLock { $0 = [7, 0x10_0003] }
    let reported = memory.tracker.zeroedRanges(replyPage: nil, limit: .max)
    #expect(reported.map(\.pageCount).reduce(0, +) == memory.layout.ramByteCount / 4096 - 2)
    for page in [7, 0x10_0003] as [UInt64] {
      #expect(!reported.contains { $0.contains(GPN(rawValue: page)) })
    }
  }

  @Test func withoutASourceNothingIsReported() throws {
    let memory = try untracked()
    memory.registerSlots { _ in nil }
    #expect(memory.tracker.zeroedRanges(replyPage: nil, limit: .max).isEmpty)
  }

  @Test func whatFailsAttachesNothing() throws {
    struct Refusal: Error, Equatable {}
    let memory = try untracked()
    #expect(throws: Refusal()) {
      try memory.registerSlots { (_) throws(Refusal) -> QuietGuest? in throw Refusal() }
    }
    #expect(!memory.tracker.isTracking)
    // It can be tried once more.
    memory.registerSlots { _ in QuietGuest() }
    #expect(memory.tracker.isTracking)
  }
}
