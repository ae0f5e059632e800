extension [UInt8] {
  /// Lends the bytes to a closure.
  func withRawSpan<Value, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    // SAFETY: an integer has no padding, so every byte is initialised.
    try unsafe body(span.bytes)
  }
}
