internal import Bytes

/// One table whose pointers may still be zero.
package struct ACPITable: Hashable, Sendable {
  package let id: ACPITableID
  /// The table; its checksums are right for these bytes.
  package private(set) var bytes: [UInt8]
  /// In no particular order.
  package let pointers: [ACPITablePointer]
  /// In the order in which they must be computed: later ones cover earlier ones.
  package let checksums: [ACPIChecksum]

  /// A table without the common header.
  init(
    _ id: ACPITableID, bytes: [UInt8], pointers: [ACPITablePointer] = [],
    checksums: [ACPIChecksum] = []
  ) {
    self.id = id
    self.bytes = bytes
    self.pointers = pointers
    self.checksums = checksums
    updateChecksums()
  }

  /// A table with the common header in front of `body`; pointers count from the header's start.
  init(
    _ id: ACPITableID, revision: UInt8, body: [UInt8], pointers: [ACPITablePointer] = []
  ) {
    let bytes = ACPIHeader.bytes(id, revision: revision, bodyByteCount: body.count) + body
    self.init(
      id, bytes: bytes, pointers: pointers,
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
