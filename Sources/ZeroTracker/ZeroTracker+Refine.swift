// Winning back zero pages of chunks that the VMM touched only in part.
extension ZeroTracker {
  /// Whether the source answers by content: `settleMarks` then does what `refine` does with others,
  /// and reads nothing. Any thread; waits for an answer that is being made.
  public var answersByContent: Bool {
    state.withLock { $0.answersByContent }
  }

  /// Makes all touched chunks untouched, except claimed ones, if the source answers by content;
  /// with any other nothing happens.
  ///
  /// A mark then stands for a writer that may not have written yet, and for nothing else. Bytes
  /// that are there the source sees, in every answer that follows; later writers mark again.
  ///
  /// - Precondition: the caller keeps VMM writers away for the time of the call: none may be
  ///   between its mark and its last byte.
  public func settleMarks() {
    state.withLock { $0.settleMarks() }
  }

  /// The lowest touched pages from `start` on that `refine` may look at: whole chunks of one region
  /// without a claim.
  ///
  /// Any thread. What is returned may be claimed or discarded at once; `refine` checks it again.
  ///
  /// - Parameter pageCount: the most pages, but a chunk is never cut.
  /// - Returns: nil if there are none, or tracking is off.
  public func refinableRun(from start: GPN, pageCount: Int) -> PageRange? {
    state.withLock { $0.refinableRun(from: start, pageCount: pageCount) }
  }

  /// Replaces the coarse marks of touched chunks by exact ones, from what is in their pages.
  ///
  /// `inspect` returns the pages that are possibly not zero. They are withheld one by one from then
  /// on, the others are reportable again, and the chunks untouched: a later `markTouched` withholds
  /// them whole.
  ///
  /// ## Why this keeps the law
  /// With the writers of the VMM away, a page in which only zeros were found was zero then, or its
  /// zeros are the guest's, in part. The guest's writes are known to the source, which every answer
  /// asks afterwards; the VMM's later writes mark again. So what `ZeroTracker` says of an untouched
  /// page holds for it.
  ///
  /// - Parameters:
  ///   - run: what `refinableRun` returned. If it is no longer so, nothing happens.
  ///   - inspect: returns the pages of `run` that are not surely zero, ascending. It must not call
  ///     this tracker. If it throws, nothing changes.
  /// - Precondition: the caller keeps VMM writers of the run away for the time of the call: none
  ///   may be between its mark and its last byte.
  /// - Throws: what `inspect` throws.
  public func refine<E: Error>(
    _ run: PageRange, inspect: (PageRange) throws(E) -> [PageRange]
  ) throws(E) {
    try state.withLock { (state) throws(E) in
      try state.refine(run, inspect: inspect)
    }
  }
}
