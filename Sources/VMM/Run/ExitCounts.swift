internal import Synchronization

/// Why a vCPU left the guest, as far as that reached this process. What KVM answers by itself is
/// not seen.
public enum ExitKind: Int, Hashable, Sendable, CaseIterable {
  /// IN, INS.
  case portRead
  /// OUT, OUTS, without the hypercalls of the userspace transport.
  case portWrite
  /// A read of memory that no slot backs: a device's.
  case memoryRead
  /// A write of it.
  case memoryWrite
  /// RDMSR.
  case msrRead
  /// WRMSR.
  case msrWrite
  /// A hypercall that this process answered, or refused.
  case hypercall
  /// A signal or a kick.
  case interruption
  /// Everything else.
  case other
}

/// The exits of one vCPU by kind, since it was made.
///
/// Its thread counts, any thread reads. Loads and stores and no locked addition: there is one
/// writer.
///
/// Sendable: the counters are made once, changed by atomic operations only, and there as long as
/// self. No array in place: to end one of atomics the runtime looks its type up, which is an eighth
/// of what the start of a small machine takes.
@safe
final class ExitCounts: @unchecked Sendable {
  private let counts: UnsafeMutablePointer<Atomic<UInt64>>

  init() {
    let kindCount = ExitKind.allCases.count
    unsafe counts = .allocate(capacity: kindCount)
    // SAFETY: as many were allocated.
    for kind in 0..<kindCount { unsafe (counts + kind).initialize(to: Atomic(0)) }
  }

  deinit {
    // SAFETY: allocated in `init`. Integers need no deinitialisation.
    unsafe counts.deallocate()
  }

  /// On the vCPU's thread.
  @inline(__always)
  func count(_ kind: ExitKind) {
    // SAFETY: there is a counter for each kind.
    let counter = unsafe counts + kind.rawValue
    // Cannot wrap: at a billion exits a second it would take 584 years.
    unsafe counter.pointee.store(
      counter.pointee.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  /// By the raw values of `ExitKind`.
  var values: [UInt64] {
    ExitKind.allCases.map { kind in
      // SAFETY: as above.
      unsafe counts[kind.rawValue].load(ordering: .relaxed)
    }
  }
}
