import Devices

/// A wire that keeps every level that was set.
final class RecordingLine: InterruptLine {
  private let log = Recorder<Bool>()

  var levels: [Bool] { log.values }
  var isAsserted: Bool { levels.last ?? false }

  /// How often it rose.
  var edgeCount: Int {
    let levels = levels
    return zip([false] + levels, levels).count { !$0 && $1 }
  }

  func set(_ isAsserted: Bool) {
    log.append(isAsserted)
  }
}
