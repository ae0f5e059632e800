internal import Bytes
internal import DeviceKit

/// The data of the Identify command (NVMe 1.4 §5.15): 4096 bytes for each *CNS*.
struct NVMeIdentify: Sendable {
  static let byteCount = 4096
  /// The only namespace.
  static let namespace: UInt32 = 1
  /// *MDTS*: the most data of a command is 4 KiB shifted by this, 512 KiB.
  static let maximumTransferShift: UInt8 = 7
  /// The same in bytes.
  static let maximumTransferByteCount = NVMeDataBuffer.pageByteCount << Int(maximumTransferShift)
  /// *AERL* is zero-based: this many event requests can be outstanding.
  static let eventRequestLimit = 4

  let identity: NVMeIdentity
  let sectorCount: UInt64
  /// A power of two.
  let sectorByteCount: UInt64
  let isReadOnly: Bool

  init(identity: NVMeIdentity, store: any BlockStore) {
    self.identity = identity
    sectorByteCount = store.sectorByteCount
    sectorCount = store.byteCount / sectorByteCount
    isReadOnly = store.isReadOnly
  }

  /// Answers a *CNS*.
  func data(selector: UInt8, namespace: UInt32) throws(NVMeFailure) -> [UInt8] {
    switch selector {
    case 0x00:
      try check(namespace)
      return namespaceData
    case 0x01:
      return controllerData
    case 0x02:
      guard namespace < 0xFFFF_FFFE else { throw NVMeFailure(.invalidNamespace) }
      var bytes = Self.zeroes
      if namespace < Self.namespace { bytes.storeLE(Self.namespace, at: 0) }
      return bytes
    case 0x03:
      try check(namespace)
      return descriptors
    default:
      throw NVMeFailure(.invalidField)
    }
  }

  private static var zeroes: [UInt8] { Array(repeating: 0, count: byteCount) }

  private func check(_ namespace: UInt32) throws(NVMeFailure) {
    guard namespace == Self.namespace else { throw NVMeFailure(.invalidNamespace) }
  }

  /// *CNS* 1, figure 247. What is not set is not supported.
  private var controllerData: [UInt8] {
    var bytes = Self.zeroes
    bytes.storeLE(NVMeIdentity.vendor, at: 0)
    bytes.storeLE(NVMeIdentity.vendor, at: 2)
    bytes.storeText(identity.serial, at: 4, byteCount: 20)
    bytes.storeText(identity.model, at: 24, byteCount: 40)
    bytes.storeText(identity.firmware, at: 64, byteCount: 8)
    bytes[77] = Self.maximumTransferShift
    bytes.storeLE(NVMeRegisters.version, at: 80)
    bytes.storeLE(UInt16(0x0100), at: 256)  // OACS: Doorbell Buffer Config
    bytes[258] = 3  // ACL: four aborts at a time
    bytes[259] = UInt8(Self.eventRequestLimit - 1)  // AERL
    bytes[260] = 0x03  // FRMW: one slot, read-only
    // LPA: the log of commands' effects (1), and parts of log pages (2).
    bytes[261] = 0x06
    bytes[262] = UInt8(NVMeHistory.errorLogEntryCount - 1)  // ELPE
    bytes.storeLE(UInt16(0x0157), at: 266)  // WCTEMP: 343 K
    bytes.storeLE(UInt16(0x0175), at: 268)  // CCTEMP: 373 K
    bytes[512] = 0x66  // SQES: 64 bytes
    bytes[513] = 0x44  // CQES: 16 bytes
    bytes.storeLE(Self.namespace, at: 516)  // NN
    bytes.storeLE(UInt16(0x000C), at: 520)  // ONCS: dataset management, write zeroes
    bytes[525] = 1  // VWC: there is a volatile write cache
    let name = Array("nqn.2014-08.org.nvmexpress:uuid:\(uniqueName)".utf8)
    for (index, byte) in name.prefix(255).enumerated() { bytes[768 + index] = byte }
    bytes.storeLE(UInt16(2500), at: 2048)  // PSD0: 25 W at most, in 0.01 W
    return bytes
  }

  /// The UUID as it is written.
  private var uniqueName: String {
    var text = ""
    for (index, byte) in identity.uuid.enumerated() {
      if [4, 6, 8, 10].contains(index) { text += "-" }
      text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    return text
  }

  /// *CNS* 0, figure 245.
  private var namespaceData: [UInt8] {
    var bytes = Self.zeroes
    for offset in [0, 8, 16] { bytes.storeLE(sectorCount, at: offset) }  // NSZE, NCAP, NUSE
    // DLFEAT: deallocated sectors read zero (2:0 are 1), Write Zeroes may deallocate (3).
    bytes[33] = 0x09
    bytes[99] = isReadOnly ? 1 : 0  // NSATTR: write protected
    for (index, byte) in identity.globalIdentifier.enumerated() { bytes[104 + index] = byte }
    // LBAF0: sectors of two to that, no metadata.
    bytes[130] = UInt8(sectorByteCount.trailingZeroBitCount)
    return bytes
  }

  /// *CNS* 3, figure 248: the *NGUID*.
  private var descriptors: [UInt8] {
    var bytes = Self.zeroes
    bytes[0] = 2
    bytes[1] = 16
    for (index, byte) in identity.globalIdentifier.enumerated() { bytes[4 + index] = byte }
    return bytes
  }
}

extension [UInt8] {
  /// Sets a field of text of fixed length, padded with spaces; what does not fit is cut.
  mutating func storeText(_ text: String, at offset: Int, byteCount: Int) {
    let utf8 = Swift.Array(text.utf8.prefix(byteCount))
    for index in 0..<byteCount {
      self[offset + index] = index < utf8.count ? utf8[index] : 0x20
    }
  }
}

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
      bytes += hash.bigEndianBytes
    }
    return bytes
  }
}
