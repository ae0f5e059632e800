/// The tables for firmware that places them itself: two files, and the script that links them.
///
/// The script is QEMU's *BIOS linker loader*: 128-byte commands that allocate memory for files, add
/// the address of one file to a pointer in another, and compute checksums. OVMF and SeaBIOS run it.
public struct TableLoader: Hashable, Sendable {
  /// The RSDP, by itself: firmware may want it in other memory than the tables.
  public let rsdp: [UInt8]
  /// All other tables, one after the other.
  public let tables: [UInt8]
  /// The script.
  public let commands: [UInt8]

  /// Names that firmware looks for (*QEMU's etc/...*).
  public static let rsdpFileName = "etc/acpi/rsdp"
  /// The tables' name in fw_cfg.
  public static let tablesFileName = "etc/acpi/tables"
  /// The name of the commands that place them.
  public static let commandsFileName = "etc/table-loader"
  /// The area for a TPM's log, all zero.
  public static let eventLogFileName = "etc/tpm/log"

  /// Where a table is: in which file, and where there.
  private struct Place {
    let file: String
    let byteOffset: Int
  }

  /// Makes files and script of these tables.
  public init(_ tables: ACPITables) {
    var places: [ACPITableID: Place] = [:]
    var end = 0
    for table in tables.tables {
      guard table.id != .rsdp else {
        places[table.id] = Place(file: Self.rsdpFileName, byteOffset: 0)
        continue
      }
      let start = (end + table.id.alignment - 1) / table.id.alignment * table.id.alignment
      places[table.id] = Place(file: Self.tablesFileName, byteOffset: start)
      end = start + table.bytes.count
    }
    func place(_ id: ACPITableID) -> Place {
      guard let place = places[id] else { preconditionFailure("no ACPI table \(id)") }
      return place
    }

    var rsdp: [UInt8] = []
    var blob = [UInt8](repeating: 0, count: end)
    var pointers: [LoaderCommand] = []
    var areas: [LoaderCommand] = []
    var checksums: [LoaderCommand] = []
    for table in tables.tables {
      let own = place(table.id)
      // Until the script adds where the other file is, a pointer says where in that file.
      var bytes = table.linked { UInt64(place($0).byteOffset) }.bytes
      for pointer in table.pointers {
        let target = place(pointer.target)
        pointers.append(
          .addPointer(
            in: own.file, byteOffset: own.byteOffset + pointer.byteOffset,
            byteCount: pointer.byteCount, to: target.file))
      }
      for pointer in table.memoryPointers {
        areas.append(.allocate(pointer.file, alignment: 1, zone: .high))
        pointers.append(
          .addPointer(
            in: own.file, byteOffset: own.byteOffset + pointer.byteOffset, byteCount: 8,
            to: pointer.file))
      }
      for checksum in table.checksums {
        bytes[checksum.byteOffset] = 0
        checksums.append(
          .addChecksum(
            in: own.file, byteOffset: own.byteOffset + checksum.byteOffset,
            start: own.byteOffset, byteCount: checksum.coveredByteCount))
      }
      if table.id == .rsdp {
        rsdp = bytes
      } else {
        blob.replaceSubrange(own.byteOffset..<(own.byteOffset + bytes.count), with: bytes)
      }
    }
    self.rsdp = rsdp
    self.tables = blob
    let allocations: [LoaderCommand] = [
      .allocate(Self.rsdpFileName, alignment: ACPITableID.rsdp.alignment, zone: .biosSegment),
      .allocate(Self.tablesFileName, alignment: Int(ACPITables.alignment), zone: .high),
    ]
    commands = (allocations + areas + pointers + checksums).flatMap(\.bytes)
  }
}
