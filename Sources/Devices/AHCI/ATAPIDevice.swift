internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// An optical drive on a SATA port: ATA commands, and PACKET, which brings MMC's. Source: ACS-3,
/// ATA/ATAPI-7 for PACKET.
final class ATAPIDevice: SATADevice {
  private let drive: OpticalDrive

  /// A drive as after power-on: what the machine before a reset has locked is open.
  init(_ drive: OpticalDrive) {
    self.drive = drive
    drive.reset()
  }

  var signature: ATARegisters { ATARegisters(error: 0x01, lba: 0xEB_1401, count: 1) }

  func reset() {
    drive.reset()
  }

  /// Nothing is ever written.
  func flush() throws(BlockStoreError) {}

  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try drive.transferState(&transfer)
  }

  var activity: AHCIActivity.Device? { drive.activity.map { .opticalDrive($0) } }

  func run(_ command: ATACommand, data: inout AHCIData) -> ATAResult {
    switch command.code {
    case 0xA0: return runPacket(command, &data)
    case 0xA1:
      data.write(identity)
      return .success(.pio)
    case 0x08, 0x90:
      reset()
      return ATAResult(registers: signature)
    case 0xE5:
      // CHECK POWER MODE: active.
      var result = ATAResult.success()
      result.registers.count = 0xFF
      return result
    case 0xEF: return setFeatures(command)
    // Standby, idle, sleep; and SECURITY FREEZE LOCK, which Windows sends to all.
    case 0xE0...0xE3, 0xE6, 0xF5: return .success()
    case 0xEC:
      // IDENTIFY DEVICE fails with the signature, by which it is known.
      return .failure(lba: signature.lba)
    default: return .failure()
    }
  }

  /// Transfer modes are of no effect; neither are caches, read-ahead, power and release interrupts.
  private func setFeatures(_ command: ATACommand) -> ATAResult {
    switch command.features & 0xFF {
    case 0x02, 0x03, 0x05, 0x55, 0x5D, 0x66, 0x82, 0x85, 0xAA, 0xCC, 0xDD: .success()
    default: .failure()
    }
  }

  // MARK: PACKET

  private func runPacket(_ command: ATACommand, _ data: inout AHCIData) -> ATAResult {
    let isDMA = command.features & 1 != 0
    switch drive.run(command.packet) {
    case .done: return end(.dma)
    case .bytes(let bytes): data.write(bytes)
    case .blocks(let medium, let offset, let byteCount):
      guard data.read(from: medium, at: offset, byteCount: byteCount) else {
        return check(drive.readFailed())
      }
    case .failed(let sense): return check(sense)
    }
    return end(isDMA ? .dma : .packetPIO)
  }

  /// *Interrupt reason*: the command is over.
  private func end(_ kind: ATAResult.Ending) -> ATAResult {
    var result = ATAResult.success(kind)
    result.registers.count = 3
    return result
  }

  private func check(_ sense: SCSISense) -> ATAResult {
    var result = ATAResult.failure(sense.key << 4 | (sense.key == 5 ? ATAStatus.aborted : 0))
    result.registers.count = 3
    return result
  }

  // MARK: IDENTIFY PACKET DEVICE

  private var identity: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    // ATAPI, a CD device that is removable, answers within 50 µs, packets of 12 bytes.
    bytes.storeATAWord(0x85C0, at: 0)
    bytes.storeATAText(drive.serial, at: 10, wordCount: 10)
    bytes.storeATAText("1.0", at: 23, wordCount: 4)
    bytes.storeATAText("VMM-RUN CD/DVD-ROM", at: 27, wordCount: 20)
    // DMA, IORDY.
    bytes.storeATAWord(0x0F00, at: 49)
    // Words 64 to 70 and 88 are valid; multiword DMA 2, PIO 4, Ultra DMA 5.
    bytes.storeATAWord(0x0006, at: 53)
    bytes.storeATAWord(0x0007, at: 63)
    bytes.storeATAWord(0x0003, at: 64)
    for word in 65...68 { bytes.storeATAWord(120, at: word) }
    // SATA, generation 1.
    bytes.storeATAWord(0x0002, at: 76)
    // ATA/ATAPI-4 to -7.
    bytes.storeATAWord(0x00F0, at: 80)
    // PACKET, DEVICE RESET, power management; the same enabled.
    for (word, value): (Int, UInt16) in [
      (82, 0x0218), (83, 0x4000), (84, 0x4000), (85, 0x0218), (86, 0x0000), (87, 0x4000),
      (88, 0x203F),
    ] { bytes.storeATAWord(value, at: word) }
    return bytes
  }
}
