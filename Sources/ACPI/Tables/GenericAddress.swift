internal import Bytes

/// A register's place (*Generic Address Structure*, ACPI 6.3 §5.2.3.2); ours are all ports.
struct GenericAddress: Hashable, Sendable {
  /// *Access Size*
  enum Access: UInt8, Sendable {
    case byte = 1
    case word = 2
    case doubleWord = 3
  }

  static let byteCount = 12
  /// *Address Space ID* of ports.
  private static let systemIO: UInt8 = 1

  /// The encoded place: space, width and offset in bits, access, address.
  let bytes: [UInt8]

  init(port: UInt16, _ access: Access, bitCount: UInt8) {
    bytes = [Self.systemIO, bitCount, 0, access.rawValue] + UInt64(port).littleEndianBytes
  }
}
