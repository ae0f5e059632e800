import Foundation
import TestSupport
import Testing

@testable import SMBIOS

/// The tables as a parser that is not ours sees them: dmidecode.
@Suite(
  .enabled(
    if: FileManager.default.isExecutableFile(atPath: "/usr/sbin/dmidecode"),
    "needs dmidecode, from the Debian package of that name"))
struct DMIDecodeTests {
  @Test func everythingIsThereAndNothingIsOutOfSpecification() throws {
    let uuid = SystemUUID(naming: "a machine")
    var texts = SMBIOSTexts()
    for (key, text): (SMBIOSTexts.Key, String) in [
      (.product, "A Product"), (.serial, "S-1"), (.sku, "K-2"), (.family, "F 3"), (.asset, "T,4"),
    ] { texts[key] = text }
    texts.addOEMString("first")
    texts.addOEMString("second=2")
    let tables = SMBIOSTables(
      SMBIOSPlatform(
        uuid: uuid, vcpuCount: 2, processorName: "A Processor", processorMegahertz: 2345,
        memory: [0..<(2 << 30), (4 << 30)..<(6 << 30)], version: "1.2",
        texts: texts))
    // As `dmidecode --dump-bin` writes it: the entry point, which points at the structures behind.
    let start = 32
    var entry = tables.entryPoint
    entry[16] = UInt8(start)
    entry[5] = 0
    entry[5] = 0 &- entry.reduce(0, &+)
    let dump = entry + [UInt8](repeating: 0, count: start - entry.count) + tables.structures
    let file = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try Data(dump).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }

    let (status, text) = try Program.run("/usr/sbin/dmidecode", ["--from-dump", file.path])
    #expect(status == 0)
    for line in [
      "SMBIOS 3.0.0 present.", "UUID: \(uuid)", "Manufacturer: vmm-run", "Core Count: 2",
      "Version: A Processor", "Max Speed: 2345 MHz", "Current Speed: 2345 MHz",
      "System is a virtual machine", "UEFI is supported", "Maximum Capacity: 4 GB", "Size: 4 GB",
      "Starting Address: 0x0000000100000000", "Ending Address: 0x000000017FFFFFFF",
      "Range Size: 2 GB", "End Of Table", "Product Name: A Product", "Serial Number: S-1",
      "SKU Number: K-2", "Family: F 3", "Asset Tag: T,4", "String 1: first", "String 2: second=2",
    ] {
      #expect(text.contains(line), "\(line) in \(text)")
    }
    for word in ["OUT OF SPEC", "invalid", "truncated", "broken", "Wrong"] {
      #expect(!text.contains(word), "\(word) in \(text)")
    }
  }
}
