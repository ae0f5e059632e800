public import Devices
public import SMBIOS

/// The devices of a PC that differ from one machine to the next.
public struct PersonalComputerConfiguration: Sendable {
  /// Takes each byte the guest writes to its first serial port, on the vCPU's thread; nil if nobody
  /// reads it.
  public var serialOutput: SerialSink?
  /// Told when the port has room again after it took less than it was given.
  public var onSerialRoom: @Sendable () -> Void = {}
  /// NVMe disks, in the order in which the guest finds them.
  public var disks: [DiskConfiguration] = []
  /// Other PCI devices, beside the disks.
  public var pciDevices: [PCIDeviceConfiguration] = []
  /// Whether the real-time clock has local time, as Windows expects, and not UTC.
  public var clockIsLocal = false
  /// What the real-time clock's battery has kept (`PersonalComputer.keptClock`); nil for a clock
  /// that shows the host's time.
  public var keptClock: RealTimeClock.Kept?

  // What firmware is told; a kernel that is started directly is not.

  /// The machine's UUID, by which operating systems and licences know it again.
  public var uuid = SystemUUID.none
  /// Which disks firmware tries first, as indices of `disks`; empty leaves the order to its
  /// variables.
  public var bootOrder: [Int] = []
  /// Files for firmware and operating systems (*fw_cfg*), by name; `opt/...` is free for users.
  public var firmwareFiles: [(name: String, bytes: [UInt8])] = []
  /// The monitor's version, as SMBIOS names it.
  public var version = "1"

  /// No disks, a serial port that drops its output, and the host's time.
  public init() {}
}
