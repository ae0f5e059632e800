public import Devices

/// The devices of a PC that differ from one machine to the next.
public struct PersonalComputerConfiguration: Sendable {
  /// Takes each byte the guest writes to its first serial port, on the vCPU's thread; nil if nobody reads it.
  public var serialOutput: SerialSink?
  /// Told when the port has room again after it took less than it was given.
  public var onSerialRoom: @Sendable () -> Void = {}
  /// NVMe disks, in the order in which the guest finds them.
  public var disks: [any BlockStore] = []
  /// Whether the real-time clock has local time, as Windows expects, and not UTC.
  public var clockIsLocal = false

  public init() {}
}
