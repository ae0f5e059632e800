import HostPages
import Testing
import ZeroTracker

@testable import GuestMemory

/// Who waits for memory waits until it is unmapped.
struct MappingLifetimeTests {
  @Test(.enabled(if: PopulatedPages.obstacle() == nil, "needs PAGEMAP_SCAN, Linux 6.7"))
  func itLastsAsLongAsAnythingIsMapped() throws {
    var memory: GuestMemory? = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 4 * mebibyte, growthByteCount: 128 * mebibyte))
    weak let lifetime = memory?.lifetime
    // It has the mappings, and not the memory.
    var source = try memory?.populationSource()
    #expect(source != nil)
    var growable = memory?.growable
    #expect(growable != nil)
    memory = nil
    #expect(lifetime != nil)
    source = nil
    #expect(lifetime != nil)
    growable = nil
    #expect(lifetime == nil)
  }

  @Test func itEndsWithTheMemory() throws {
    var memory: GuestMemory? = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 4 * mebibyte))
    weak let lifetime = memory?.lifetime
    #expect(lifetime != nil)
    memory = nil
    #expect(lifetime == nil)
  }
}
