public import GuestMemory
public import HostPages
internal import HostSystem
public import HyperVCore
public import KVM
public import ZeroTracker

/// Why a machine could not be built or run. One line, with the cure where one is known.
public enum MachineError: Error, Equatable, Sendable, CustomStringConvertible {
  case kvm(KVMError)
  case memory(GuestMemoryError)
  case hostPages(HostPagesError)
  case enlightenments(EnlightenmentError)
  /// The host lacks what was asked for; `cure` says how to get it.
  case unavailable(what: String, cure: String)
  /// The Linux kernel, its initrd or its command line cannot be used.
  case kernel(LinuxImageError)
  /// The configuration asks for something impossible.
  case configuration(String)
  /// A page would have been reported as zero that is not: an unknown writer, or a bug.
  case falseReport(page: GPN, history: String)
  /// Its control ended the run before the machine was made.
  case stopped
  /// The guest did something that no machine can go on from.
  case guest(String)

  /// One line: what was attempted, what was wrong, and what to do.
  public var description: String {
    switch self {
    case .kvm(let error): error.description
    case .memory(let error): error.description
    case .hostPages(let error): error.description
    case .enlightenments(let error): error.description
    case .kernel(let error): error.description
    case .unavailable(let what, let cure): "\(what); \(cure)"
    case .falseReport(let page, let history):
      "page \(page) was about to be reported as zero and is not (\(history)); a writer that goes"
        + " around the VMM must claim its memory"
    case .stopped: "stopped before the machine was made"
    case .configuration(let text), .guest(let text): text
    }
  }

  /// The host gives no more threads.
  ///
  /// - Parameters:
  ///   - what: the thread or threads, as in "the clock's thread".
  ///   - code: of `HostThread.Failure`.
  package static func noThread(_ what: String, code: Int32) -> MachineError {
    .unavailable(
      what: "cannot start \(what): \(Errno(code))",
      cure: "raise the limit of processes (ulimit -u)")
  }

  /// Whether the host, and not the guest or the configuration, is at fault.
  public var isHostLimit: Bool {
    switch self {
    case .kvm, .memory, .hostPages, .unavailable: true
    case .enlightenments, .kernel, .configuration, .falseReport, .stopped, .guest:
      false
    }
  }
}

/// Runs `body`, giving KVM's errors as the machine's.
func kvm<R: ~Copyable>(_ body: () throws(KVMError) -> R) throws(MachineError) -> R {
  do throws(KVMError) { return try body() } catch { throw .kvm(error) }
}

/// Runs `body`, giving guest memory's errors as the machine's.
func memory<R: ~Copyable>(_ body: () throws(GuestMemoryError) -> R) throws(MachineError) -> R {
  do throws(GuestMemoryError) { return try body() } catch { throw .memory(error) }
}
