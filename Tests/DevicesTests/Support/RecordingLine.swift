import DeviceKit
import Devices
import TestSupport

/// A wire that keeps every level that was set.
final class RecordingLine: InterruptLine {
  private let log = Recorder<Bool>()

  var levels: [Bool] { log.values }
  var isAsserted: Bool { levels.last ?? false }

  /// How often it rose.
  var edgeCount: Int { steps.count { !$0.before && $0.after } }

  /// Calls that changed nothing: each may cost a system call.
  var idleCallCount: Int { steps.count { $0.before == $0.after } }

  private var steps: [(before: Bool, after: Bool)] {
    let levels = levels
    return zip([false] + levels, levels).map { ($0, $1) }
  }

  func set(_ isAsserted: Bool) {
    log.append(isAsserted)
  }
}
