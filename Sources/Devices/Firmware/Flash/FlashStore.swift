/// Where the contents of a flash chip stay.
public protocol FlashStore: AnyObject, Sendable {
  /// The contents at the start: whole blocks of 4 KiB, at least one.
  var initialBytes: [UInt8] { get }

  /// Keeps bytes from `offset` on; they survive the end of this process once it returns.
  func write(_ bytes: [UInt8], at offset: Int) throws(FlashStoreError)

  /// Returns when all that was written survives a loss of power.
  func flush() throws(FlashStoreError)
}

/// Contents that are forgotten with the process.
public final class VolatileFlashStore: FlashStore {
  public let initialBytes: [UInt8]

  /// - Parameter bytes: whole blocks of 4 KiB, at least one.
  public init(_ bytes: [UInt8]) {
    initialBytes = bytes
  }

  public func write(_ bytes: [UInt8], at offset: Int) {}

  public func flush() {}
}
