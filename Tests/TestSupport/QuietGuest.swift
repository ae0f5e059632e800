package import HostSystem
package import ZeroTracker

/// A source for a guest whose writes the test tells, kept per page.
package final class QuietGuest: WrittenPageSource {
  package let written = Guarded<Set<UInt64>>([])

  package init() {}

  package func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws
  {
    let written = written.withLock { $0 }
    for page in written where region.contains(GPN(rawValue: page)) {
      let bit = page - region.start.rawValue
      words[Int(bit / 64)] |= 1 << (bit % 64)
    }
  }

  package func stop() throws {}

  package func forget(_ range: PageRange) -> Bool {
    written.withLock { pages in pages = pages.filter { !range.contains(GPN(rawValue: $0)) } }
    return true
  }
}
