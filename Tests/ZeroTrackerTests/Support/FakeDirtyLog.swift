import HostSystem
import ZeroTracker

/// A dirty log for tests: the guest's writes are told to it, as the page fault tells the kernel,
/// before the bytes change.
final class FakeDirtyLog: WrittenPageSource {
  struct Failure: Error, Equatable {}

  struct State {
    var written: Set<UInt64> = []
    var stopCount = 0
    var failsReading = false
    var failsStopping = false
    var canForget = true
    /// Stores words instead of ORing, the broken way, and a bit above the region in the last.
    var overwrites = false
    var readCount = 0
  }

  let state = Guarded(State())

  func guestWrites(_ pages: PageRange) {
    state.withLock { state in
      for page in pages.start.rawValue..<pages.end.rawValue { state.written.insert(page) }
    }
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    let (written, overwrites) = try state.withLock { state in
      state.readCount += 1
      if state.failsReading { throw Failure() }
      return (state.written, state.overwrites)
    }
    if overwrites {
      for index in words.indices { words[index] = 0 }
      words[words.count - 1] = 1 << 63
    }
    for page in written where region.contains(GPN(rawValue: page)) {
      let bit = page - region.start.rawValue
      words[Int(bit / 64)] |= 1 << (bit % 64)
    }
  }

  func stop() throws {
    try state.withLock { state in
      state.stopCount += 1
      if state.failsStopping { throw Failure() }
    }
  }

  func forget(_ range: PageRange) -> Bool {
    state.withLock { state in
      guard state.canForget else { return false }
      state.written = state.written.filter { !range.contains(GPN(rawValue: $0)) }
      return true
    }
  }
}
