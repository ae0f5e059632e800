import ACPI

/// The tables of a platform in one piece, found in it as an operating system finds them.
struct LinkedTables {
  let blob: [UInt8]
  let address: UInt64

  /// The tables of `platform` at `address`.
  init(_ platform: ACPIPlatform, at address: UInt64 = 0xE_0000) {
    blob = ACPITables(platform).blob(at: address)
    self.address = address
  }

  /// The table at a guest physical address, as long as its own header says.
  func table(at tableAddress: UInt64) -> [UInt8] {
    let start = Int(tableAddress - address)
    return Array(blob[start..<(start + Int(blob.number(at: start + 4, byteCount: 4)))])
  }

  var rsdp: [UInt8] { Array(blob[..<36]) }

  var xsdt: [UInt8] { table(at: rsdp.number(at: 24, byteCount: 8)) }

  /// The tables that the XSDT lists, in its order.
  var listed: [[UInt8]] {
    stride(from: 36, to: xsdt.count, by: 8).map { table(at: xsdt.number(at: $0, byteCount: 8)) }
  }

  /// All tables by their signature, found as an operating system finds them.
  var bySignature: [String: [UInt8]] {
    var tables = ["RSDP": rsdp, "XSDT": xsdt]
    for table in listed { tables[table.text(at: 0, byteCount: 4)] = table }
    if let fadt = tables["FACP"] {
      tables["FACS"] = table(at: fadt.number(at: 36, byteCount: 4))
      tables["DSDT"] = table(at: fadt.number(at: 140, byteCount: 8))
    }
    return tables
  }
}
