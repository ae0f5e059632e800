// The example of README.md, word for word between the two markers: EmbeddingTests compares them.

// README: begin
import HyperVCore
import ZeroTracker

final class DirtyLog: WrittenPageSource {
  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    for (index, word) in try kvmDirtyLog(of: region).enumerated() { words[index] |= word }
  }
  func stop() throws {}
  func forget(_ range: PageRange) -> Bool { false }
}

struct Guest: HypercallMemory {
  let ram = RAM()
  let tracker: ZeroTracker
  init() throws {
    tracker = try ZeroTracker(regions: [PageRange(start: GPN(rawValue: 0), pageCount: RAM.pages)])
    tracker.attach(source: DirtyLog())  // Before the guest's first instruction.
  }
  func isWritable(_ at: GuestAddress, byteCount: Int) -> Bool { at.pageNumber < RAM.pages }
  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool {
    tracker.markTouched(PageRange(start: GPN(containing: address.rawValue), pageCount: 1))
    return ram.store(bytes, at: address.rawValue)  // Only after the mark.
  }
  func answer(_ call: HypercallRequest) -> HypercallResult {
    let offered: Enlightenments = [.extendedHypercalls, .bootZeroedMemory]
    return HypercallDispatcher(enlightenments: offered).dispatch(call, memory: self) { page in
      tracker.zeroedRanges(replyPage: GPN(rawValue: page)).map {
        BootZeroedRange(startPage: $0.start.rawValue, pageCount: $0.pageCount)
      }
    }.result
  }
}
// README: end
