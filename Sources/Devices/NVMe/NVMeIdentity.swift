/// What a disk calls itself.
public struct NVMeIdentity: Hashable, Sendable {
  /// *SN*: 20 characters of ASCII count. Guests tell disks apart by it.
  public var serial: String
  /// *MN*: 40 characters of ASCII count.
  public var model: String
  /// *FR*: 8 characters of ASCII count.
  public var firmware: String

  /// An identity; texts are cut to what fits.
  public init(serial: String, model: String = "vmm-run NVMe disk", firmware: String = "1.0") {
    self.serial = serial
    self.model = model
    self.firmware = firmware
  }

  /// *NGUID*: from the serial number, so that it is the same at every start (FNV-1a, two halves).
  var globalIdentifier: [UInt8] {
    var bytes: [UInt8] = []
    for start: UInt64 in [0xCBF2_9CE4_8422_2325, 0x8422_2325_CBF2_9CE4] {
      var hash = start
      for byte in serial.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      for shift in stride(from: 56, through: 0, by: -8) {
        bytes.append(UInt8(truncatingIfNeeded: hash >> UInt64(shift)))
      }
    }
    return bytes
  }
}
