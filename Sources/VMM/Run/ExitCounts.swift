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
final class ExitCounts: Sendable {
  private let counts: InlineArray<9, Atomic<UInt64>>

  init() {
    precondition(ExitKind.allCases.count == 9)
    counts = InlineArray { _ in Atomic(0) }
  }

  /// On the vCPU's thread.
  @inline(__always)
  func count(_ kind: ExitKind) {
    let index = kind.rawValue
    // Cannot wrap: at a billion exits a second it would take 584 years.
    counts[index].store(counts[index].load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }

  /// By the raw values of `ExitKind`.
  var values: [UInt64] {
    ExitKind.allCases.map { counts[$0.rawValue].load(ordering: .relaxed) }
  }
}
