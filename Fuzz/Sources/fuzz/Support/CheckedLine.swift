internal import DeviceKit
internal import Synchronization

/// An interrupt wire that wants only changes, as each call may cost a system call.
final class CheckedLine: InterruptLine {
  private let level = Mutex(false)

  var isAsserted: Bool { level.withLock { $0 } }

  func set(_ isAsserted: Bool) {
    level.withLock { level in
      require(level != isAsserted, "a wire set to \(level) again")
      level = isAsserted
    }
  }
}
