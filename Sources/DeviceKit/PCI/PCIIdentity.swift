/// What a function says it is, in the read-only part of its header.
public struct PCIIdentity: Hashable, Sendable {
  /// *Vendor ID*, offset 0x00.
  public var vendor: UInt16
  /// *Device ID*, offset 0x02.
  public var device: UInt16
  /// *Revision ID*, offset 0x08.
  public var revision: UInt8
  /// *Class Code*, offset 0x09: base class, sub-class and interface in bits 23:16, 15:8, 7:0.
  public var classCode: UInt32
  /// *Subsystem Vendor ID*, offset 0x2C.
  public var subsystemVendor: UInt16
  /// *Subsystem ID*, offset 0x2E.
  public var subsystem: UInt16

  /// An identity; of `classCode` the low 24 bits count.
  public init(
    vendor: UInt16, device: UInt16, revision: UInt8 = 0, classCode: UInt32,
    subsystemVendor: UInt16 = 0, subsystem: UInt16 = 0
  ) {
    self.vendor = vendor
    self.device = device
    self.revision = revision
    self.classCode = classCode & 0xFF_FFFF
    self.subsystemVendor = subsystemVendor
    self.subsystem = subsystem
  }
}
