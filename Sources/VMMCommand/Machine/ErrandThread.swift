internal import Devices
import HostSystem
internal import Synchronization
internal import VMM

/// A thread that runs closures for threads that must not run them: a vCPU's opens no file.
final class ErrandThread: Sendable {
  /// What both sides hold, so that the owner can end before the thread.
  private final class Desk: Sendable {
    let asked = WorkList(count: 1)
    let done = WorkList(count: 1)
    let errand = Mutex<(@Sendable () -> Void)?>(nil)
    /// Held by the thread that waits for an errand.
    let turn = Mutex(())
  }

  private let desk = Desk()
  private let thread: HostThread

  init() throws(MachineError) {
    do throws(HostThread.Failure) {
      thread = try HostThread { [desk] in
        while desk.asked.next() != nil {
          desk.errand.withLock { $0.take() }?()
          desk.done.add(0)
        }
      }
    } catch {
      throw .noThread("a thread", code: error.code)
    }
  }

  deinit {
    desk.asked.close()
    thread.join()
  }

  /// Runs `errand` there; returns when it is done. Not from within an errand.
  func run(_ errand: @escaping @Sendable () -> Void) {
    desk.turn.withLock { _ in
      desk.errand.withLock { $0 = errand }
      desk.asked.add(0)
      _ = desk.done.next()
    }
  }
}
