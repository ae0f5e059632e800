internal import Glibc
import HostSystem
internal import Synchronization
internal import VMM

/// Prints what the machine of now is doing, whenever it is asked to: SIGUSR1, Ctrl-A i. Any thread
/// but a vCPU's; takes a second or two if vCPUs are busy in devices.
final class StatusReporter: Sendable {
  private struct Current: Sendable {
    let machine: Machine
    var earlier: MachineStatus?
    /// Of the last report, or of the machine's beginning.
    var time: UInt64
  }

  private let current = Mutex<Current?>(nil)
  private let print: @Sendable (String) -> Void

  /// - Parameter print: takes whole lines.
  init(print: @escaping @Sendable (String) -> Void = { Diagnostics.tell(lines: $0) }) {
    self.print = print
  }

  /// A machine is about to run.
  func begin(_ machine: Machine) {
    current.withLock {
      $0 = Current(machine: machine, earlier: nil, time: HostClock.monotonicNanoseconds())
    }
  }

  /// It has ended.
  func end() {
    current.withLock { $0 = nil }
  }

  func report() {
    guard let seen = current.withLock({ $0 }) else {
      return print(Diagnostics.line("no machine is running"))
    }
    do {
      let status = try seen.machine.status()
      let now = HostClock.monotonicNanoseconds()
      let seconds = Double(now &- seen.time) / 1e9
      print(StatusReport(status, after: seen.earlier, elapsedSeconds: seconds).text)
      current.withLock { current in
        guard current?.machine === seen.machine else { return }
        current?.earlier = status
        current?.time = now
      }
    } catch {
      print(Diagnostics.line("\(error)"))
    }
  }
}
