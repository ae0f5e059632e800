import TestSupport
import Testing

@testable import GuestMemory

/// Allocation in advance: in pieces that are told of, and that can be the last.
@Suite struct PopulateTests {
  private static let piece = UInt64(HostMapping.populatedByteCount)

  private func make(
    _ byteCount: UInt64, _ backing: MemoryBacking = .anonymous, upTo limit: Int = .max
  ) throws -> (memory: GuestMemory?, progress: [UInt64]) {
    var progress: [UInt64] = []
    let layout = try GuestMemoryLayout(ramByteCount: byteCount)
    do throws(GuestMemoryError) {
      let memory = try GuestMemory(layout: layout, backing: backing, preallocated: true) {
        progress.append($0)
        return progress.count < limit
      }
      return (memory, progress)
    } catch {
      #expect(error == .interrupted)
      return (nil, progress)
    }
  }

  @Test(arguments: [MemoryBacking.anonymous, .memfd])
  func allOfItInPieces(backing: MemoryBacking) throws {
    let byteCount = 2 * Self.piece + 0x5000
    let (memory, progress) = try make(byteCount, backing)
    #expect(progress == [Self.piece, 2 * Self.piece, byteCount])
    #expect(try memory?.residentByteCount() == byteCount)
  }

  @Test func nothingIsToldOfMemoryThatIsNotAllocated() throws {
    _ = try GuestMemory(layout: try GuestMemoryLayout(ramByteCount: Self.piece)) { _ in
      Issue.record("nothing was to be allocated")
      return true
    }
  }

  @Test func itCanBeInterrupted() throws {
    let (memory, progress) = try make(4 * Self.piece, upTo: 2)
    #expect(memory == nil)
    #expect(progress == [Self.piece, 2 * Self.piece])
  }
}
