public import Devices
internal import GuestMemory
public import KVM
internal import ZeroTracker

/// What a machine is doing, for people who ask why a guest hangs.
public struct MachineStatus: Sendable {
  /// One vCPU.
  public struct Processor: Sendable {
    /// Its number.
    public let id: UInt32
    /// What it does.
    public let state: State
    /// Its exits so far, by the raw values of `ExitKind`.
    public let exitCounts: [UInt64]
  }

  /// What a vCPU does.
  public enum State: Hashable, Sendable {
    /// It left the guest and told.
    case known(VCPUSnapshot)
    /// Its thread answers an exit and has not come back.
    case busy(ObservedExit)
    /// Its thread has not begun. A flat program starts all but the first.
    case notStarted
    /// Its thread has ended.
    case absent
  }

  /// In the order of their numbers.
  public let processors: [Processor]
  /// NVMe disks in the order of their slots; nil for one whose lock was taken.
  public let disks: [NVMeActivity?]
  /// What is on the ports of the SATA adapter, in their order; empty without one, nil if its lock
  /// was taken.
  public let sata: [AHCIActivity]?
  /// The first serial port of a PC; nil without one, or if its lock was taken.
  public let serialPort: UARTActivity?
  /// What has come of the memory balloon; nil without one.
  public let balloon: BalloonActivity?
  /// What the guest does with VMBus; nil without it.
  public let vmbus: VMBusActivity?
  /// Whether guest writes are tracked.
  public let isTracking: Bool
}

extension Machine {
  /// Asks all vCPUs and looks into the devices. Any thread but a vCPU's; also before and after the
  /// run, and while it is paused. The vCPUs leave the guest for a moment.
  ///
  /// - Parameter seconds: how long it waits for a vCPU that is busy in a device.
  /// - Throws: `.unavailable` when the process has no more descriptors.
  public func status(waitingSeconds seconds: Int = 1) throws(MachineError) -> MachineStatus {
    let answers = try control.inspect(seconds: seconds)
    let processors = runners.indices.map { index in
      let runner = runners[index]
      let state: MachineStatus.State =
        if let snapshot = answers.snapshots[UInt32(index)] {
          .known(snapshot)
        } else if answers.asked.contains(UInt32(index)) {
          .busy(runner.kicker.lastExit)
        } else {
          answers.ended.contains(UInt32(index)) ? .absent : .notStarted
        }
      return MachineStatus.Processor(
        id: UInt32(index), state: state, exitCounts: runner.counts.values)
    }
    return MachineStatus(
      processors: processors, disks: computer?.diskActivities ?? [],
      sata: computer.map(\.sataActivities) ?? [], serialPort: computer?.serialPort.activity,
      balloon: computer?.balloon?.activity, vmbus: computer?.vmbusActivity,
      isTracking: memory.tracker.isTracking)
  }
}

/// What a vCPU was doing when it was looked at.
public struct VCPUSnapshot: Hashable, Sendable {
  /// RIP.
  public let instructionPointer: UInt64
  /// CPL.
  public let privilegeLevel: UInt8
  /// CR3.
  public let pageTables: UInt64
  /// RFLAGS.IF.
  public let takesInterrupts: Bool
  /// Whether it executes, waits for an interrupt, or waits to be started.
  public let activity: VCPUActivity
  /// The values of MSRs that were asked for and that this KVM has, by their indices.
  var registers: [UInt32: UInt64] = [:]

  /// Whether nothing but a reset or a non-maskable interrupt gets it going again.
  public var isHaltedForGood: Bool { activity == .halted && !takesInterrupts }
}

extension VCPUSnapshot {
  /// On the vCPU's thread, between two runs.
  init(of vcpu: borrowing VCPU, with registers: [UInt32] = []) throws(KVMError) {
    let general = try vcpu.generalRegisters()
    let mode = try vcpu.processorMode()
    self.init(
      instructionPointer: general.rip, privilegeLevel: mode.privilegeLevel, pageTables: mode.cr3,
      takesInterrupts: general.rflags & (1 << 9) != 0, activity: try vcpu.activity(),
      registers: Self.values(of: registers, vcpu))
  }

  private static func values(
    of registers: [UInt32], _ vcpu: borrowing VCPU
  ) -> [UInt32: UInt64] {
    var values: [UInt32: UInt64] = [:]
    for index in registers { values[index] = try? vcpu.readMSR(index) }
    return values
  }
}
