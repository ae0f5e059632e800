internal import DeviceKit
internal import Devices
public import GuestMemory

/// The memory map that a kernel is given in e820 form: ascending, disjoint ranges.
///
/// Made from the one `GuestMemoryLayout`. What no entry names belongs to devices or to nothing.
///
/// | GPA | kind |
/// | --- | --- |
/// | 0–0x9FBFF | RAM |
/// | 0x9FC00–0xFFFFF | reserved: extended BIOS data, video memory, firmware |
/// | 0x100000–end of low RAM | RAM |
/// | 0xB0000000–0xBFFFFFFF | reserved: ECAM, which Linux only uses if it is reserved here |
/// | 0x100000000– | the rest of RAM |
///
/// The ACPI tables' range lies over these.
public struct E820Map: Hashable, Sendable {
  /// What a range is for. Source: ACPI 6.5 §15, Address Range Types.
  public struct Kind: RawRepresentable, Hashable, Sendable {
    /// The type of an e820 entry.
    public let rawValue: UInt32

    /// Any value.
    public init(rawValue: UInt32) {
      self.rawValue = rawValue
    }

    /// *AddressRangeMemory*.
    public static let ram = Kind(rawValue: 1)
    /// *AddressRangeReserved*.
    public static let reserved = Kind(rawValue: 2)
    /// *AddressRangeACPI*: RAM once the tables in it have been read.
    public static let acpiReclaimable = Kind(rawValue: 3)
  }

  /// One range.
  public struct Entry: Hashable, Sendable {
    /// The first byte.
    public let start: GPA
    /// In bytes, at least 1.
    public let byteCount: UInt64
    /// What the range is for.
    public let kind: Kind

    /// The first byte above.
    public var end: GPA {
      // Fits: entries end below 4 GiB + the most RAM of a layout.
      GPA(start.rawValue + byteCount)
    }

    /// As addresses.
    var addresses: Range<UInt64> { start.rawValue..<end.rawValue }
  }

  /// Where RAM below 1 MiB ends for a kernel: 1 KiB below the video memory, as the extended BIOS
  /// data area lies there on a PC and kernels look at it whether or not there is one.
  static let legacyStart: UInt64 = 0x9_FC00
  /// Where RAM goes on above the firmware.
  static let legacyEnd: UInt64 = 0x10_0000
  /// Ascending and disjoint.
  public let entries: [Entry]

  /// - Parameter acpiTables: where the tables lie, in RAM; nil if there are none.
  /// - Throws: `MachineError.kernel` if the tables' range is empty or not RAM.
  public init(
    layout: GuestMemoryLayout, acpiTables: Range<UInt64>? = nil
  ) throws(MachineError) {
    var claims: [(range: Range<UInt64>, kind: Kind)] = layout.regions.map {
      ($0.start.rawValue..<$0.end.rawValue, .ram)
    }
    claims.append((Self.legacyStart..<Self.legacyEnd, .reserved))
    claims.append((Board.configurationRange.addresses, .reserved))
    if let tables = acpiTables {
      guard !tables.isEmpty, let byteCount = Int(exactly: tables.upperBound - tables.lowerBound),
        layout.contains(GPA(tables.lowerBound), byteCount: byteCount)
      else {
        throw .kernel(
          .placement(
            what: "the ACPI tables at GPA \(tables.hexadecimal) are not in RAM",
            cure: "choose an address in the guest's \(layout.ramByteCount) bytes of memory"))
      }
      claims.append((tables, .acpiReclaimable))
    }
    entries = Self.entries(of: claims)
  }

  /// Later claims lie over earlier ones.
  private static func entries(of claims: [(range: Range<UInt64>, kind: Kind)]) -> [Entry] {
    var pieces: [(range: Range<UInt64>, kind: Kind)] = []
    for claim in claims {
      pieces = pieces.flatMap { piece in
        piece.range.removing(claim.range).map { ($0, piece.kind) }
      }
      pieces.append(claim)
    }
    return pieces.sorted { $0.range.lowerBound < $1.range.lowerBound }.map {
      Entry(
        start: GPA($0.range.lowerBound),
        byteCount: $0.range.upperBound - $0.range.lowerBound, kind: $0.kind)
    }
  }
}

extension Range<UInt64> {
  /// What is left without `other`: the part below it and the part above it, each only if not empty.
  func removing(_ other: Range<UInt64>) -> [Range<UInt64>] {
    guard overlaps(other) else { return isEmpty ? [] : [self] }
    var rest: [Range<UInt64>] = []
    if lowerBound < other.lowerBound { rest.append(lowerBound..<other.lowerBound) }
    if other.upperBound < upperBound { rest.append(other.upperBound..<upperBound) }
    return rest
  }

  /// `0x1000–0x1fff`; the bounds of an empty range are equal and shown as they are.
  var hexadecimal: String {
    let last = isEmpty ? upperBound : upperBound - 1
    return "\(GPA(lowerBound))–\(GPA(last))"
  }
}
