public import Devices
internal import HostSystem

/// A disk of a PC: what is behind it, and what it is called.
public struct DiskConfiguration: Sendable {
  /// Where its data is.
  public var store: any BlockStore
  /// The serial number, by which guests tell disks apart (`NVMeIdentity.isSerial`): another one for
  /// each disk of a machine. The disk's other identifiers are made from it.
  public var serial: String
  /// What its log pages tell: one object for all machines that a process makes of this
  /// configuration, so that a reset forgets nothing.
  public var history = NVMeHistory(nanoseconds: HostClock.monotonicNanoseconds)

  /// A disk with no history.
  public init(_ store: any BlockStore, serial: String) {
    self.store = store
    self.serial = serial
  }
}
