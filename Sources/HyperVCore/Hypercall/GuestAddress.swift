/// A guest physical address (GPA) in bytes, exactly as a guest gave it.
///
/// Any 64-bit value is representable: whether memory lies there is the business of
/// ``HypercallMemory``. A thread-safe value.
///
/// Source: TLFS, Hypercall Interface, "Hypercall Inputs".
public struct GuestAddress: RawRepresentable, Hashable, Comparable, Sendable {
  /// Bytes in one guest page: the GPN unit of the Hyper-V interface, whatever size the mapping has.
  public static let pageByteCount = 4096

  /// The address in bytes.
  public var rawValue: UInt64

  /// Wraps an address in bytes.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// The first byte of a 4 KiB page, given by its GPN.
  ///
  /// Nil if that byte lies past the 64-bit address space, so for a GPN of 2^52 or more.
  public init?(pageNumber: UInt64) {
    guard pageNumber < BootZeroedRange.addressSpacePageCount else { return nil }
    self.rawValue = pageNumber << 12
  }

  /// The number of the 4 KiB page around this byte (GPN), below 2^52.
  public var pageNumber: UInt64 { rawValue >> 12 }

  /// The byte's distance from the start of its 4 KiB page, 0...4095.
  public var pageOffset: Int { Int(truncatingIfNeeded: rawValue & 0xFFF) }

  /// Orders addresses from low to high.
  public static func < (lhs: GuestAddress, rhs: GuestAddress) -> Bool {
    lhs.rawValue < rhs.rawValue
  }
}

extension GuestAddress: CustomStringConvertible {
  /// The address in hexadecimal, like `0x7ff000`.
  public var description: String { rawValue.hexadecimal }
}
