internal import DeviceKit

/// The pages of Get Log Page (NVMe 1.4 §5.14).
struct NVMeLogPages {
  let history: NVMeHistory
  let identity: NVMeIdentity

  /// The bytes that a command asks for; zero where the page has ended.
  func data(_ command: NVMeCommand) throws(NVMeFailure) -> [UInt8] {
    let page = try page(UInt8(truncatingIfNeeded: command.dword(10)))
    let dwords = UInt64(command.dword(10) >> 16) | UInt64(command.dword(11) & 0xFFFF) << 16
    let byteCount = (dwords + 1) * 4
    guard byteCount <= UInt64(NVMeIdentify.maximumTransferByteCount) else {
      throw NVMeFailure(.invalidField)
    }
    let offset = UInt64(command.dword(12)) | UInt64(command.dword(13)) << 32
    guard offset % 4 == 0, offset <= UInt64(page.count) else { throw NVMeFailure(.invalidField) }
    var bytes = Array(page[Int(offset)...].prefix(Int(byteCount)))
    bytes += [UInt8](repeating: 0, count: Int(byteCount) - bytes.count)
    return bytes
  }

  private func page(_ identifier: UInt8) throws(NVMeFailure) -> [UInt8] {
    switch identifier {
    case 0x01: return history.errorLog
    case 0x02: return history.healthLog
    case 0x03:
      var bytes = [UInt8](repeating: 0, count: 512)
      bytes[0] = 1  // the firmware of slot 1 runs
      bytes.storeText(identity.firmware, at: 8, byteCount: 8)
      return bytes
    case 0x05: return Self.effects
    default: throw NVMeFailure(.invalidLogPage)
    }
  }

  /// *Commands Supported and Effects*: 4 bytes for each opcode, admin, then I/O. Bit 0: supported;
  /// bit 1: may change what is on the disk.
  private static var effects: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 4096)
    for opcode in NVMeAdminOpcode.all { bytes[4 * Int(opcode.rawValue)] = 1 }
    for opcode in NVMeIOOpcode.all {
      bytes[1024 + 4 * Int(opcode.rawValue)] = opcode.changesData ? 3 : 1
    }
    return bytes
  }
}
