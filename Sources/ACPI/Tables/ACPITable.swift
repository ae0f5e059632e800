internal import Bytes

/// One table whose pointers may still be zero.
package struct ACPITable: Hashable, Sendable {
  package let id: ACPITableID
  /// The table; its checksums are right for these bytes.
  package private(set) var bytes: [UInt8]
  /// In no particular order.
  package let pointers: [ACPITablePointer]
  /// Of memory that only a loader's script has; zero without one.
  package let memoryPointers: [ACPIMemoryPointer]
  /// In the order in which they must be computed: later ones cover earlier ones.
  package let checksums: [ACPIChecksum]

  /// A table without the common header.
  init(
    _ id: ACPITableID, bytes: [UInt8], pointers: [ACPITablePointer] = [],
    memoryPointers: [ACPIMemoryPointer] = [], checksums: [ACPIChecksum] = []
  ) {
    self.id = id
    self.bytes = bytes
    self.pointers = pointers
    self.memoryPointers = memoryPointers
    self.checksums = checksums
    updateChecksums()
  }

  /// A table with the common header in front of `body`; pointers count from the header's start.
  init(
    _ id: ACPITableID, revision: UInt8, body: [UInt8], pointers: [ACPITablePointer] = [],
    memoryPointers: [ACPIMemoryPointer] = []
  ) {
    let bytes = ACPIHeader.bytes(id, revision: revision, bodyByteCount: body.count) + body
    self.init(
      id, bytes: bytes, pointers: pointers, memoryPointers: memoryPointers,
      checksums: [
        ACPIChecksum(byteOffset: ACPIHeader.checksumOffset, coveredByteCount: bytes.count)
      ])
  }

  /// The table with every pointer set to where `address` says that its target is.
  func linked(_ address: (ACPITableID) -> UInt64) -> ACPITable {
    var table = self
    for pointer in pointers {
      let target = address(pointer.target)
      if pointer.byteCount == 8 {
        table.bytes.storeLE(target, at: pointer.byteOffset)
      } else {
        precondition(
          target <= UInt64(UInt32.max), "\(pointer.target) at 0x\(String(target, radix: 16))")
        table.bytes.storeLE(UInt32(target), at: pointer.byteOffset)
      }
    }
    table.updateChecksums()
    return table
  }

  private mutating func updateChecksums() {
    for checksum in checksums {
      bytes[checksum.byteOffset] = 0
      // Sums wrap: only the low eight bits count.
      let sum = bytes[..<checksum.coveredByteCount].reduce(0, &+)
      bytes[checksum.byteOffset] = 0 &- sum
    }
  }
}

/// The header of every table but the RSDP and the FACS (*DESCRIPTION_HEADER*, ACPI 6.3 §5.2.6), and
/// the names that say who made the tables.
enum ACPIHeader {
  static let byteCount = 36
  static let checksumOffset = 9

  /// *OEMID*: six characters.
  static let oemID = Array("VMMRUN".utf8)
  /// *OEM Table ID*: eight characters.
  static let oemTableID = Array("VMMRUN  ".utf8)
  static let oemRevision: UInt32 = 1
  /// *Creator ID*: four characters.
  static let creatorID = Array("VMMR".utf8)
  static let creatorRevision: UInt32 = 1

  /// A header whose checksum is still zero.
  static func bytes(_ id: ACPITableID, revision: UInt8, bodyByteCount: Int) -> [UInt8] {
    Array(id.rawValue.utf8)
      + UInt32(byteCount + bodyByteCount).littleEndianBytes
      + [revision, 0]
      + oemID + oemTableID + oemRevision.littleEndianBytes
      + creatorID + creatorRevision.littleEndianBytes
  }
}

/// The tables of a platform, by what others call them.
package enum ACPITableID: String, CaseIterable, Sendable {
  case rsdp = "RSDP"
  case xsdt = "XSDT"
  case fadt = "FACP"
  case facs = "FACS"
  case dsdt = "DSDT"
  case madt = "APIC"
  case mcfg = "MCFG"
  case waet = "WAET"
  case tpm2 = "TPM2"

  /// What a table's address must be a multiple of: 64 for the FACS, 16 for the RSDP (ACPI 6.3
  /// §5.2.5.1, §5.2.10); the others follow the latter.
  package var alignment: Int {
    self == .facs ? 64 : 16
  }
}

/// A place in a table that holds the address of another one.
package struct ACPITablePointer: Hashable, Sendable {
  /// Where the address is.
  package let byteOffset: Int
  /// How long it is: 4 or 8 bytes.
  package let byteCount: Int
  /// Whose address it is.
  package let target: ACPITableID
}

/// A place in a table that holds the address of memory that is no table, 8 bytes.
package struct ACPIMemoryPointer: Hashable, Sendable {
  package let byteOffset: Int
  /// The file that the memory is loaded with, all zero.
  package let file: String
  package let fileByteCount: Int
}

/// A byte that makes all bytes from a table's start up to some end sum to zero.
package struct ACPIChecksum: Hashable, Sendable {
  /// Where the byte is.
  package let byteOffset: Int
  /// How many bytes from the table's start on it covers, itself among them.
  package let coveredByteCount: Int
}
