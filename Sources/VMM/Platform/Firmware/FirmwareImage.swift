internal import Devices
internal import GuestMemory

/// Firmware as it lies in flash, ending at 4 GiB: the processor starts in its last 16 bytes.
///
/// The guest can only read it. One image can serve machine after machine.
public final class FirmwareImage: Sendable {
  private static let pageByteCount = 4096

  let contents: DeviceMemory
  /// What messages call it.
  let name: String

  /// Takes the bytes of an image: OVMF's `OVMF_CODE_4M.fd`, or one that has the variables in it.
  ///
  /// - Parameter name: for messages, usually its path.
  /// - Throws: `MachineError.configuration` if that cannot be firmware; `.memory`.
  public init(_ bytes: [UInt8], name: String) throws(MachineError) {
    if let complaint = ForeignImage.complaint(of: bytes, path: name) {
      throw .configuration("firmware \(name) \(complaint)")
    }
    guard bytes.count.isMultiple(of: Self.pageByteCount), !bytes.isEmpty,
      bytes.count <= FirmwareVolume.maximumByteCount
    else {
      throw .configuration(
        "firmware \(name) has \(bytes.count) bytes: 4096 to \(FirmwareVolume.maximumByteCount) in "
          + "multiples of 4096 are possible; give an image such as /usr/share/OVMF/OVMF_CODE_4M.fd")
    }
    // Erased flash and empty files are all one byte there.
    let resetVector = bytes.suffix(16)
    guard Set(resetVector).count > 1 else {
      throw .configuration(
        "firmware \(name) has no code at its end, where the processor starts; give an image such "
          + "as /usr/share/OVMF/OVMF_CODE_4M.fd")
    }
    contents = try memory { () throws(GuestMemoryError) in
      try DeviceMemory(byteCount: bytes.count)
    }
    contents.write(bytes, at: 0)
    self.name = name
  }
}
