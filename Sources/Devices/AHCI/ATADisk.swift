internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// A disk on a SATA port, with addresses of 48 bits. Source: ACS-3.
final class ATADisk: SATADevice {
  /// What a command of 48 bits can name.
  private static let maximumSectorCount: UInt64 = 1 << 48

  private let store: any BlockStore
  private let serial: String
  private let sectorCount: UInt64

  init(_ store: any BlockStore, serial: String) {
    self.store = store
    self.serial = serial
    sectorCount = min(store.byteCount / store.sectorByteCount, Self.maximumSectorCount)
  }

  var signature: ATARegisters {
    ATARegisters(status: ATAStatus.success, error: 0x01, lba: 1, count: 1)
  }

  func reset() {}

  func flush() throws(BlockStoreError) { try store.flush() }

  /// All that there is is on the disk.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {}

  var activity: AHCIActivity.Device? { .disk }

  func run(_ command: ATACommand, data: inout AHCIData) -> ATAResult {
    switch command.code {
    case 0xEC:
      data.write(identity)
      return .success(.pio)
    // READ and WRITE DMA, with 28 bits and with 48; the latter also with *FUA*.
    case 0xC8: return read(command.short, &data, .dma)
    case 0x25: return read(command.long, &data, .dma)
    case 0xCA: return write(command.short, &data)
    case 0x35: return write(command.long, &data)
    case 0x3D: return write(command.long, &data, mustFlush: true)
    // READ and WRITE SECTORS and MULTIPLE.
    case 0x20, 0xC4: return read(command.short, &data, .pio)
    case 0x24, 0x29: return read(command.long, &data, .pio)
    case 0x30, 0xC5: return write(command.short, &data)
    case 0x34, 0x39: return write(command.long, &data)
    // READ VERIFY.
    case 0x40: return verify(command.short)
    case 0x42: return verify(command.long)
    case 0xE7, 0xEA: return answerFlush()
    case 0x90: return ATAResult(registers: signature)
    case 0xE5:
      // CHECK POWER MODE: active.
      var result = ATAResult.success()
      result.registers.count = 0xFF
      return result
    case 0xEF: return setFeatures(command)
    // SET MULTIPLE; INITIALIZE DEVICE PARAMETERS; standby, idle, sleep; SECURITY FREEZE LOCK.
    case 0xC6, 0x91, 0xE0...0xE3, 0xE6, 0xF5: return .success()
    default: return .failure()
    }
  }

  /// Transfer modes are of no effect; neither are read-ahead and power. The write cache stays on.
  private func setFeatures(_ command: ATACommand) -> ATAResult {
    switch command.features & 0xFF {
    case 0x02, 0x03, 0x05, 0x55, 0x66, 0x85, 0xAA, 0xCC: .success()
    default: .failure()
    }
  }

  // MARK: Data

  /// Where a command's sectors are; nil if not all of them are on the disk.
  private func range(_ sectors: ATASectors) -> (offset: UInt64, byteCount: UInt64)? {
    guard sectors.first < sectorCount, sectors.count <= sectorCount - sectors.first else {
      return nil
    }
    return (sectors.first * store.sectorByteCount, sectors.count * store.sectorByteCount)
  }

  private func read(
    _ sectors: ATASectors, _ data: inout AHCIData, _ kind: ATAResult.Ending
  ) -> ATAResult {
    guard let (offset, byteCount) = range(sectors) else {
      return .failure(ATAStatus.notFound, lba: sectors.first)
    }
    guard data.read(from: store, at: offset, byteCount: byteCount) else {
      return .failure(ATAStatus.uncorrectable, lba: sectors.first)
    }
    return .success(kind)
  }

  private func write(
    _ sectors: ATASectors, _ data: inout AHCIData, mustFlush: Bool = false
  ) -> ATAResult {
    guard let (offset, byteCount) = range(sectors) else {
      return .failure(ATAStatus.notFound, lba: sectors.first)
    }
    guard !store.isReadOnly, data.write(to: store, at: offset, byteCount: byteCount) else {
      return .failure(lba: sectors.first)
    }
    return mustFlush ? answerFlush() : .success()
  }

  private func verify(_ sectors: ATASectors) -> ATAResult {
    range(sectors) == nil ? .failure(ATAStatus.notFound, lba: sectors.first) : .success()
  }

  private func answerFlush() -> ATAResult {
    (try? store.flush()) == nil ? .failure() : .success()
  }

  // MARK: IDENTIFY DEVICE

  private var identity: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    bytes.storeATAWord(0x0040, at: 0)
    bytes.storeATAText(serial, at: 10, wordCount: 10)
    bytes.storeATAText("1.0", at: 23, wordCount: 4)
    bytes.storeATAText("VMM-RUN DISK", at: 27, wordCount: 20)
    let short = UInt32(min(sectorCount, 0xFFF_FFFF))
    for (word, value): (Int, UInt16) in [
      // MULTIPLE of one sector; LBA, DMA, IORDY.
      (47, 0x8001), (49, 0x0F00), (50, 0x4000),
      // Words 64 to 70 and 88 are valid; multiword DMA 2, PIO 4.
      (53, 0x0006), (59, 0x0101), (63, 0x0007), (64, 0x0003), (65, 120), (66, 120), (67, 120),
      (68, 120),
      // SATA, generation 1; ATA/ATAPI-4 to ACS-3.
      (76, 0x0002), (80, 0x07F0),
      // Write cache, read-ahead, power management; addresses of 48 bits, both flushes; *FUA*. The
      // same enabled.
      (82, 0x0068), (83, 0x7400), (84, 0x4040), (85, 0x0068), (86, 0x3400), (87, 0x4040),
      (88, 0x203F),
      // A solid-state disk.
      (217, 0x0001),
    ] { bytes.storeATAWord(value, at: word) }
    bytes.storeLE(short, at: 2 * 60)
    bytes.storeLE(sectorCount, at: 2 * 100)
    if store.sectorByteCount != 512 {
      // Logical sectors of more than 256 words.
      bytes.storeATAWord(0x5000, at: 106)
      bytes.storeLE(UInt32(truncatingIfNeeded: store.sectorByteCount / 2), at: 2 * 117)
    }
    return bytes
  }
}

/// Sectors that a command names.
private struct ATASectors {
  let first: UInt64
  let count: UInt64
}

extension ATACommand {
  /// With 28 bits of address, the upper four in the device register; a count of 0 is 256.
  fileprivate var short: ATASectors {
    ATASectors(
      first: lba & 0xFF_FFFF | UInt64(device & 0xF) << 24,
      count: count & 0xFF == 0 ? 256 : UInt64(count & 0xFF))
  }

  /// With 48 bits of address; a count of 0 is 65,536.
  fileprivate var long: ATASectors {
    ATASectors(first: lba, count: count == 0 ? 65_536 : UInt64(count))
  }
}
