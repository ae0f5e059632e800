/// Why bytes are not a reply to 0x8002.
public enum BootZeroedMemoryReplyError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The reply does not have ``BootZeroedMemoryReply/byteCount`` bytes, but this many.
  case byteCount(Int)
  /// The reply claims more ranges than fit.
  case rangeCount(UInt64)

  /// What is wrong, and what a reply looks like.
  public var description: String {
    switch self {
    case .byteCount(let count):
      "cannot decode a boot-zeroed memory reply of \(count) bytes; it has exactly 4088"
    case .rangeCount(let count):
      "cannot decode a boot-zeroed memory reply with \(count) ranges; it has at most 255"
    }
  }
}
