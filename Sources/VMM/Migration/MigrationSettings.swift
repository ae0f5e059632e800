/// How a machine moves.
public struct MigrationSettings: Hashable, Sendable {
  /// How long the guest may stand still; what is left of memory has to fit into half of it at the
  /// rate that the connection has had.
  public var downtimeMilliseconds = 300
  /// How often memory is gone through while the guest runs, the first time included.
  public var maximumRoundCount = 30
  /// What happens where that does not come: the guest stops for as long as it takes, or goes on
  /// where it is.
  public var stopsAnyway = true

  public init() {}
}

/// How far a machine has moved.
public struct MigrationProgress: Hashable, Sendable {
  /// From 1 on: the time that memory is gone through.
  public var round = 1
  public var sentByteCount: UInt64 = 0
  /// What the guest had written and was not sent, when the round began.
  public var remainingByteCount: UInt64 = 0

  public init() {}
}

/// How a machine has moved.
public struct MigrationReport: Hashable, Sendable {
  /// From the moment at which the guest was told to stand still until the destination has said that
  /// it goes on.
  public var downtimeNanoseconds: UInt64 = 0
  public var totalNanoseconds: UInt64 = 0
  public var roundCount = 0
  public var sentByteCount: UInt64 = 0
  /// Pages that were sent, each as often as it was.
  public var pageCount: UInt64 = 0
  /// Pages that were told to be zero again.
  public var zeroPageCount: UInt64 = 0

  public init() {}
}

/// What whoever runs a machine does while it moves.
public struct MigrationHooks: Sendable {
  /// Pauses the machine; false if a vCPU does not come.
  public var pause: @Sendable () throws(MachineError) -> Bool
  /// Adds to what is sent, while disks and all else are at rest.
  public var addNotes: @Sendable (inout SavedMachine) throws(SavedMachineError) -> Void = { _ in }
  /// Lets go what both sides cannot have at a time, as locks of disks.
  public var release: @Sendable () -> Void = {}
  /// Takes that again, as the machine stays.
  ///
  /// - Returns: what it did not get; nil if it has all.
  public var reclaim: @Sendable () -> String? = { nil }
  /// The destination goes on: the run is to end. The machine never runs again here.
  public var onMoved: @Sendable (MigrationReport) -> Void = { _ in }
  /// The destination may go on: nobody may resume the machine who has not looked there.
  public var onUnknown: @Sendable () -> Void = {}
  public var onProgress: @Sendable (MigrationProgress) -> Void = { _ in }
  /// False ends it, as long as the destination does not run.
  public var goesOn: @Sendable () -> Bool = { true }

  public init(pause: @escaping @Sendable () throws(MachineError) -> Bool) {
    self.pause = pause
  }
}
