/// Knows which pages the guest wrote: KVM's dirty log, write protection of the host mapping, or the
/// memory itself, which can be looked at (`answersByContent`).
///
/// A tracker believes its source without checking, so a source promises:
///
/// - tracking began before the first guest instruction, with every page that was not zero then
///   marked touched in the tracker;
/// - a guest write whose bytes any processor can read is in every later answer (reported late is a
///   lie; reported though never written is merely a loss);
/// - when in doubt it throws, and then nothing is reported.
///
/// A tracker calls its source under its own lock, one call at a time, from any thread. A source
/// must not call the tracker back: that would deadlock.
public protocol WrittenPageSource: AnyObject, Sendable {
  /// Sets one bit per 4 KiB page of `region` that was written since tracking began.
  ///
  /// Bits are only ever set (ORed); reading resets nothing.
  ///
  /// - Parameters:
  ///   - region: one of the regions the tracker was made with, whole.
  ///   - words: bit 0 of word 0 stands for `region.start`; bits above the region's last page are
  ///     ignored. The span may come with bits set already, by an earlier call or another source.
  /// - Throws: anything; the tracker then reports nothing in this answer.
  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws

  /// Whether it answers by what is in the pages, and not by what was noted of them: each answer has
  /// every page that has a byte other than zero at the instant at which the source looks at that
  /// byte, whoever wrote it. It stands alone: a page may be zero again in the next. Without an
  /// implementation `false`.
  var answersByContent: Bool { get }

  /// Ends tracking; called once, after which nothing else is. Without an implementation nothing
  /// ends.
  ///
  /// - Throws: anything; the tracker is stopped all the same, and its next `stop` tries again.
  func stop() throws

  /// Forgets that pages of `range` were written: their memory is about to be discarded.
  ///
  /// After `true` a write that begins later must be noticed again as if it were the first. With
  /// `false` the pages stay written, which is safe; the range may then be forgotten in part,
  /// because the tracker goes on to discard it. Without an implementation `false`.
  func forget(_ range: PageRange) -> Bool
}

extension WrittenPageSource {
  /// Knows what was noted.
  public var answersByContent: Bool { false }
  /// Ends nothing.
  public func stop() throws {}
  /// Forgets nothing.
  public func forget(_ range: PageRange) -> Bool { false }
}
