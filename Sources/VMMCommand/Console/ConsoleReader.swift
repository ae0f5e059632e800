import Glibc

/// One read(2) of console input.
enum ConsoleReader {
  enum Outcome: Equatable {
    case bytes([UInt8])
    /// Nothing right now.
    case nothing
    /// The end of the input, or a terminal that is gone.
    case end
  }

  /// Reads what is there, at most `limit` bytes.
  static func read(_ descriptor: Int32, limit: Int = 4096) -> Outcome {
    var buffer = [UInt8](repeating: 0, count: min(limit, 4096))
    let capacity = buffer.count
    // SAFETY: the kernel writes at most the buffer's length.
    let count = unsafe Glibc.read(descriptor, &buffer, capacity)
    let code = errno
    if count > 0 { return .bytes(Array(buffer[..<count])) }
    return count < 0 && (code == EAGAIN || code == EINTR) ? .nothing : .end
  }
}
