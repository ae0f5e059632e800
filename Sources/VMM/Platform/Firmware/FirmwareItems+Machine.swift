internal import ACPI
internal import Bytes
internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import SMBIOS

extension FirmwareItems {
  /// What firmware is told of this machine.
  ///
  /// - Parameters:
  ///   - diskSlots: where the configuration's disks are on the bus.
  ///   - processor: as management tools and setup menus show it.
  /// - Throws: `MachineError.configuration` for a file of the user's that cannot be taken along.
  init(
    _ configuration: PersonalComputerConfiguration, diskSlots: [UInt8] = [], vcpuCount: Int,
    processor: ProcessorIdentity,
    layout: GuestMemoryLayout, board: Board, liveFiles: [LiveFile] = []
  ) throws(MachineError) {
    let smbios = SMBIOSTables(
      SMBIOSPlatform(
        uuid: configuration.uuid, vcpuCount: vcpuCount, processorName: processor.name,
        processorMegahertz: processor.megahertz,
        memory: layout.installed.map { $0.lowerBound.rawValue..<$0.upperBound.rawValue },
        version: configuration.version, texts: configuration.smbiosTexts))
    self.init(
      vcpuCount: vcpuCount, memoryByteCount: layout.ramByteCount + layout.setAsideByteCount,
      uuid: configuration.uuid.wireBytes)
    var files = [
      ("etc/e820", Self.memoryMap(layout)),
      (SMBIOSTables.entryPointFileName, smbios.entryPoint),
      (SMBIOSTables.structuresFileName, smbios.structures),
    ]
    if let growth = layout.growth {
      // Firmware puts 64-bit BARs above it.
      let end = (growth.end.rawValue + (1 << 30) - 1) & ~((1 << 30) - 1)
      files.append(("etc/reserved-memory-end", end.littleEndianBytes))
    }
    if !configuration.bootOrder.isEmpty {
      let paths = configuration.bootOrder.map { Self.openFirmwarePath($0, diskSlots) }
      files.append(("bootorder", Array((paths.joined(separator: "\n") + "\0").utf8)))
    }
    if let tpm = board.tpm {
      files += [
        ("etc/tpm/config", Self.tpmConfiguration),
        (
          TableLoader.eventLogFileName,
          [UInt8](repeating: 0, count: Int(tpm.eventLogByteCount))
        ),
      ]
    }
    files += configuration.firmwareFiles
    do {
      try addTables(of: board)
      for (name, bytes) in files { try add(name, bytes) }
      for file in liveFiles { try addLive(file) }
    } catch {
      throw .configuration(error.description)
    }
  }

  /// Where requests for the TPM are left; a TPM 2.0, version 1.30 of the interface.
  private static var tpmConfiguration: [UInt8] {
    UInt32(PhysicalPresenceMemory.range.start).littleEndianBytes + [2, 1]
  }

  /// The ACPI tables, made when firmware asks for them: by then it has programmed what they
  /// describe.
  private mutating func addTables(of board: Board) throws(FirmwareItemError) {
    @Sendable func contents() -> [[UInt8]] {
      let loader = TableLoader(ACPITables(board.platform))
      return [loader.rsdp, loader.tables, loader.commands]
    }
    let names = [
      TableLoader.rsdpFileName, TableLoader.tablesFileName, TableLoader.commandsFileName,
    ]
    let byteCounts = contents().map { $0.count }
    // The first has one length. The others grow by a table, a window and the like, and loaders take
    // the zeroes behind them for nothing.
    try addLate(
      [
        (names[0], byteCounts[0]), (names[1], Self.roomForTables(byteCounts[1])),
        (names[2], Self.roomForTables(byteCounts[2])),
      ], contents: contents)
  }

  /// A multiple of 4 KiB, and of a loader's command, with 1 KiB or more to spare.
  private static func roomForTables(_ byteCount: Int) -> Int {
    (byteCount + 1024 + 4095) / 4096 * 4096
  }

  /// RAM only, with what is set aside: where that is, and what else there is at fixed addresses,
  /// firmware for this chip set knows.
  private static func memoryMap(_ layout: GuestMemoryLayout) -> [UInt8] {
    let entryByteCount = 20
    return layout.installed.flatMap { range in
      var entry = [UInt8](repeating: 0, count: entryByteCount)
      entry.storeLE(range.lowerBound.rawValue, at: 0)
      entry.storeLE(range.upperBound.rawValue - range.lowerBound.rawValue, at: 8)
      entry.storeLE(E820Map.Kind.ram.rawValue, at: 16)
      return entry
    }
  }

  /// The device path, as OVMF matches it with its boot options: of an NVMe disk the vendor is
  /// QEMU's in any case, of a SATA device the port counts.
  private static func openFirmwarePath(_ device: BootDevice, _ diskSlots: [UInt8]) -> String {
    switch device {
    case .disk(let index):
      "/pci@i0cf8/pci8086,5845@\(String(diskSlots[index], radix: 16))/namespace@1,0"
    case .sata(let port):
      "/pci@i0cf8/pci8086,2922@\(String(PersonalComputer.sataSlot, radix: 16))/drive@\(port)/disk@0"
    }
  }
}
