import Devices
import HostSystem
import Synchronization

/// The thread on which a console reads its input.
///
/// It inherits which signals are blocked: make it after the `SignalWatcher`.
final class ConsoleThread: Sendable {
  private let thread: HostThread
  private let isJoined = Atomic(false)

  init(_ run: @escaping @Sendable () -> Void) throws(SystemError) {
    do throws(HostThread.Failure) {
      thread = try HostThread(run)
    } catch {
      throw SystemError("start the thread that reads the console", code: error.code)
    }
  }

  /// Waits for the thread's end. On the thread itself returns at once: it ends by itself then.
  func join() {
    guard !isJoined.exchange(true, ordering: .acquiringAndReleasing) else { return }
    if thread.isCurrent { thread.detach() } else { thread.join() }
  }
}

extension Event {
  /// An event for waits of the console's thread.
  static func ofConsole() throws(SystemError) -> Event {
    do throws(Errno) {
      return try Event()
    } catch {
      throw SystemError("make an event for the console", code: error.rawValue)
    }
  }
}
