extension WriteProtection {
  /// What keeps it from working here; nil if nothing does.
  ///
  /// Asks the running kernel: protects two pages of its own, writes to one, and reads which it was.
  public static func obstacle() -> HostPagesError? {
    do throws(HostPagesError) {
      let pages = try ProbePages(count: 2)
      let protection = try WriteProtection([pages.range])
      try protection.arm()
      pages.write(toPage: 1)
      var words: [UInt64] = [0]
      var span = words.mutableSpan
      try protection.readWrittenPages(of: pages.range, into: &span)
      try protection.end()
      guard words == [0b10] else {
        return .wrongAnswer(
          "PAGEMAP_SCAN after a write to page 1 of 2: written pages 0b\(String(words[0], radix: 2)),"
            + " not 0b10; this kernel's write protection cannot be relied on")
      }
      return nil
    } catch {
      return error
    }
  }
}
