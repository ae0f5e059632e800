internal import CKVM
internal import Glibc
internal import Synchronization

/// A vCPU's last exit as another thread sees it: right while the vCPU's thread answers it, a guess
/// while the vCPU runs.
public enum ObservedExit: Hashable, Sendable {
  /// IN or OUT.
  case port(UInt16)
  /// An access to memory that no slot backs.
  case memory(UInt64)
  /// RDMSR or WRMSR.
  case msr
  /// KVM_EXIT_HYPERV.
  case hyperV
  /// Any other `exit_reason`.
  case other(reason: UInt32)
}

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

  /// What the vCPU left the guest for last, or is just leaving it for.
  public var lastExit: ObservedExit { page.observedExit }

  /// Ends the current KVM_RUN, or the next one at once, until `VCPU.clearKick()`. Never waits.
  public func kick() {
    page.kick()
    guard let threadID else { return }
    // By number and not by pthread_t, which is invalid once joined: a number that is gone is an
    // error that means nothing here, and one reused in this process gets a signal that does
    // nothing.
    _ = ckvm_signal_thread(threadID, Self.signal)
  }

  /// Only its arrival counts. Not SIGUSR1, which users send: it would go to any thread that lets it
  /// through.
  private static let signal = SIGUSR2

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
