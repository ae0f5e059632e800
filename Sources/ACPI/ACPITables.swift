/// All ACPI tables of a platform.
///
/// `blob(at:)` is what a loader without firmware writes to guest memory. Firmware places tables
/// itself: for it there are the tables one by one, with what to link.
public struct ACPITables: Hashable, Sendable {
  /// What the blob's address must be a multiple of: 64 bytes.
  public static let alignment: UInt64 = 64

  /// The tables, each with zero for every pointer; the RSDP first.
  package let tables: [ACPITable]
  /// Where each table lies from the blob's start, in the order of `tables`.
  private let byteOffsets: [Int]
  /// The blob's length.
  public let byteCount: Int

  /// Makes the tables of `platform`.
  public init(_ platform: ACPIPlatform) {
    let configuration = platform.addresses.configurationSpace.map { MCFG.table($0) }
    let others = [configuration, WAET.table(), platform.tpm.map { TPM2.table($0) }]
      .compactMap { $0 }
    tables =
      [
        .rsdp(), .xsdt([.fadt, .madt] + others.map(\.id)), FACS.table(), FADT.table(platform),
        DSDT.table(platform), MADT.table(platform),
      ] + others
    var end = 0
    var byteOffsets: [Int] = []
    for table in tables {
      let alignment = table.id.alignment
      let start = (end + alignment - 1) / alignment * alignment
      byteOffsets.append(start)
      end = start + table.bytes.count
    }
    self.byteOffsets = byteOffsets
    byteCount = end
  }

  /// The tables as one piece to be written to the guest physical address `address`.
  ///
  /// - Parameter address: A multiple of 64. The piece must end by 4 GiB: some pointers have 32
  ///   bits.
  public func blob(at address: UInt64) -> [UInt8] {
    precondition(
      address % Self.alignment == 0 && address <= 1 << 32 - UInt64(byteCount),
      "ACPI tables at 0x\(String(address, radix: 16))")
    let addresses = Dictionary(
      uniqueKeysWithValues: zip(tables.map(\.id), byteOffsets.map { address + UInt64($0) }))
    var blob = [UInt8](repeating: 0, count: byteCount)
    for (table, byteOffset) in zip(tables, byteOffsets) {
      let bytes = table.linked { id in
        guard let address = addresses[id] else { preconditionFailure("no ACPI table \(id)") }
        return address
      }.bytes
      blob.replaceSubrange(byteOffset..<(byteOffset + bytes.count), with: bytes)
    }
    return blob
  }

  /// Where the RSDP is when the blob is at `address`: at its start. That is what a boot loader
  /// hands over, and where a search finds it when `address` is in 0xE0000–0xFFFFF.
  public func rsdpAddress(at address: UInt64) -> UInt64 {
    address
  }
}
