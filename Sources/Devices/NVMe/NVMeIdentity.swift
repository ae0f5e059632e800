internal import Bytes

/// What a disk calls itself.
public struct NVMeIdentity: Hashable, Sendable {
  /// *Vendor ID* of the PCI function, and of Identify: `VM` in ASCII, which is no vendor's. Drivers
  /// find an NVMe disk by its class, 010802, and look at vendors for devices that need workarounds;
  /// with QEMU's numbers Linux would ignore the *NGUID*.
  static let vendor: UInt16 = 0x564D
  /// *Device ID*.
  static let device: UInt16 = 0x0001
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

  /// Whether a text can be a serial number as it is: 1 to 20 characters of printable ASCII. Guests
  /// cut spaces at its ends, so there are none.
  public static func isSerial(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return (1...20).contains(bytes.count) && bytes.allSatisfy { (0x20...0x7E).contains($0) }
      && bytes.first != 0x20 && bytes.last != 0x20
  }

  /// *NGUID*: made from the serial number, so that it is the same at every start, and wherever the
  /// image lies. It has 5 bytes of its own behind an OUI, and 8 before it: the OUI is one that the
  /// standard leaves to everybody (*locally administered*).
  ///
  /// There is no *EUI-64*: OVMF looks for a disk of its boot order by one that is zero.
  var globalIdentifier: [UInt8] {
    var bytes = digest
    bytes[8] = bytes[8] & 0xFC | 0x02
    return bytes
  }

  /// The same as a UUID, in the version for schemes of one's own (RFC 9562, version 8).
  var uuid: [UInt8] {
    var bytes = digest
    bytes[6] = bytes[6] & 0x0F | 0x80
    bytes[8] = bytes[8] & 0x3F | 0x80
    return bytes
  }

  /// FNV-1a of the serial number, in two halves.
  private var digest: [UInt8] {
    var bytes: [UInt8] = []
    for start: UInt64 in [0xCBF2_9CE4_8422_2325, 0x8422_2325_CBF2_9CE4] {
      var hash = start
      for byte in serial.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      bytes += hash.byteSwapped.littleEndianBytes
    }
    return bytes
  }
}
