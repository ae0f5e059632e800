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
    page.setImmediateExit(true)
    guard let threadID else { return }
    // By number and not by pthread_t, which is invalid once joined: a number that is gone is an
    // error that means nothing here, and one reused in this process gets a signal that does nothing.
    _ = ckvm_signal_thread(threadID, Self.signal)
  }

  /// Only its arrival counts.
  private static let signal = SIGUSR1

  /// Installs the handler that does nothing, once per process; without it the signal would end the
  /// process.
  static let prepareProcess: Void = {
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = { _ in }
    unsafe sigaction(signal, &action, nil)
  }()
}
