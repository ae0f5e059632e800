internal import HostSystem

/// What a port of a host bus adapter and its device are doing, for people who ask why a guest
/// hangs.
public struct AHCIActivity: Hashable, Sendable {
  /// What is on a port.
  public enum Device: Hashable, Sendable {
    case disk
    case opticalDrive(OpticalDriveActivity)
  }

  /// Nil for a drive whose lock was taken.
  public let device: Device?
  /// *PxCMD.ST*: the guest has started the list of commands.
  public let isStarted: Bool
  /// Whether an error has stopped the list.
  public let isHalted: Bool
  /// *PxCI*: commands that the guest has issued and that are not done.
  public let issuedCount: Int
  /// Whether one of them is with the device.
  public let isBusy: Bool
  /// Whether the guest has not seen to an interrupt that it enabled.
  public let isInterrupting: Bool
}

/// What an optical drive looks like from outside.
public struct OpticalDriveActivity: Hashable, Sendable {
  /// Whether a medium is in it, be the tray open or closed.
  public let hasMedium: Bool
  public let isOpen: Bool
  /// Whether the guest has locked it.
  public let isLocked: Bool
  /// Whether another medium comes in when the guest lets it.
  public let isChangeAwaited: Bool
}

extension AHCIController {
  /// What the ports do, in their order; nil if a lock was taken. Any thread.
  public var activity: [AHCIActivity]? { engine.activity }
}

extension AHCIEngine {
  var activity: [AHCIActivity]? {
    let devices = devices.map(\.activity)
    return state.withLockSoon { state in
      zip(state.ports, devices).map { port, device in
        AHCIActivity(
          device: device, isStarted: port.command.contains(.start), isHalted: port.isHalted,
          issuedCount: port.issued.nonzeroBitCount, isBusy: port.isBusy,
          isInterrupting: port.isInterrupting)
      }
    }
  }
}
