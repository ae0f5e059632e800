// The example of README.md, word for word between the two markers: EmbeddingTests compares them.

// README: begin
import HyperVCore
import ZeroTracker

final class DirtyLog: WrittenPageSource {
  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    for (index, word) in try kvmDirtyLog(of: region).enumerated() { words[index] |= word }
  }
}

struct Guest: HypercallMemory {
  let ram = RAM()
  let tracker: ZeroTracker
  let hypercalls: HypercallDispatcher
  init() throws {
    let tracker = try ZeroTracker(regions: [PageRange(start: .zero, pageCount: RAM.pages)])
    tracker.attach(source: DirtyLog())  // Before the guest's first instruction.
    hypercalls = HypercallDispatcher(calls: [
      GetBootZeroedMemory { tracker.zeroedPages(replyPage: $0) }
    ])
    self.tracker = tracker
  }
  func isWritable(_ at: GuestAddress, byteCount: Int) -> Bool { at.pageNumber < RAM.pages }
  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool {
    tracker.markTouched(PageRange(start: GPN(containing: address.rawValue), pageCount: 1))
    return ram.store(bytes, at: address.rawValue)  // Only after the mark.
  }
}
// README: end
