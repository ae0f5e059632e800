internal import CKVM
internal import Glibc
internal import Synchronization

/// Ends a vCPU's KVM_RUN at the next chance. Safe from any thread, also after the vCPU's end.
///
/// It sets `immediate_exit`, and sends a signal to the thread that the vCPU is bound to: only that
/// makes KVM look while it is inside the guest. Source: KVM API, KVM_CAP_IMMEDIATE_EXIT.
public struct VCPUKicker: Sendable {
  let page: RunPage

  /// The kernel's number of the thread that the vCPU is bound to; nil before
  /// `VCPU.bindToCurrentThread()`.
  public var threadID: Int32? {
    let id = page.threadID.load(ordering: .sequentiallyConsistent)
    return id == 0 ? nil : id
  }

  public func kick() {
    page.kick()
    guard let threadID else { return }
    // By number and not by pthread_t, which is invalid once joined: a number that is gone is an
    // error that means nothing here, and one reused in this process gets a signal that does nothing.
    _ = ckvm_signal_thread(threadID, Self.signal)
  }

  /// Only its arrival counts.
  private static let signal = SIGUSR1

  /// Makes the calling thread one that the signal wakes.
  ///
  /// Threads inherit their creator's blocked signals, and worker threads of Dispatch block most: a
  /// vCPU thread started from one would never be kicked out of the guest.
  static func prepareCurrentThread() {
    installHandler
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, signal)
    unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  /// Once per process; without a handler the signal would end it.
  private static let installHandler: Void = {
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = { _ in }
    unsafe sigaction(signal, &action, nil)
  }()
}
