internal import Devices
internal import HostSystem
public import HyperVCore
internal import KVM

/// Gives a guest that has reported its crash the time to say why, then ends the run: when every
/// vCPU has halted for good, or after some seconds. A guest that resets or switches itself off is
/// quicker.
///
/// Linux writes the crash register before it has printed all it knows, and Windows before it shows
/// it.
final class CrashWatch: Sendable {
  private let crashes: Event
  private let runEnds: Event
  private let thread: HostThread

  /// Nil if the host gives no thread or no descriptors: a crash then ends the run at once.
  ///
  /// - Parameters:
  ///   - seconds: how long a guest that just goes on is left alone.
  ///   - onThreadStart: what the thread does first.
  init?(
    control: MachineControl, seconds: Int, onThreadStart: @escaping @Sendable () -> Void
  ) {
    guard let crashes = try? Event(), let runEnds = try? Event(),
      let thread = try? HostThread({
        onThreadStart()
        while !crashes.wait(seconds: 3600) {}
        for _ in 0..<max(seconds, 1) {
          if runEnds.wait(seconds: 1) { return }
          if Self.hasHalted(control) { break }
        }
        // The outcome is the crash that was noted.
        control.end(with: .stopped)
      })
    else { return nil }
    self.crashes = crashes
    self.runEnds = runEnds
    self.thread = thread
    control.tellOfCrash { crashes.raise() }
  }

  /// Whether no vCPU can ever go on by itself.
  private static func hasHalted(_ control: MachineControl) -> Bool {
    guard let answers = try? control.inspect(seconds: 1) else { return false }
    return answers.asked.members.allSatisfy { id in
      guard let snapshot = answers.snapshots[id] else { return false }
      return snapshot.isHaltedForGood || snapshot.activity == .uninitialized
    }
  }

  /// At the end of the run.
  func cancel() {
    runEnds.raise()
    crashes.raise()
    thread.join()
  }
}

/// What a guest reported of its crash, and on which vCPU. All of it is the guest's word.
public struct GuestCrash: Hashable, Sendable {
  /// The registers.
  public let report: CrashReport
  /// What the guest said it is.
  public let identity: GuestIdentity
  /// The message's bytes, at most 4096, as they lay in memory at the report; nil if there is none,
  /// or its address is no memory.
  public let message: [UInt8]?
  /// The vCPU that wrote the register.
  public let vcpuID: UInt32

  /// A report as a machine makes it.
  public init(report: CrashReport, identity: GuestIdentity, message: [UInt8]?, vcpuID: UInt32) {
    self.report = report
    self.identity = identity
    self.message = message
    self.vcpuID = vcpuID
  }
}
