import Floors
import VMM

/// The virtual machine in plain C that answers one kind of exit.
///
/// Sendable: `Rounds` runs it under its lock, one thread at a time.
@safe final class ExitFloor: @unchecked Sendable {
  private let floor: OpaquePointer

  init(_ kind: ExitKind, count: Int, address: UInt64) throws(BenchmarkError) {
    let hypercalls =
      switch kind {
      case .hypercall(.userspace): EXIT_FLOOR_HYPERCALLS_BY_PORT
      case .hypercall(.kernel): EXIT_FLOOR_HYPERCALLS_BY_KVM
      case .hypercall(.none), .portOut, .portIn, .store, .load: EXIT_FLOOR_NO_HYPERCALLS
      }
    let image = ExitImage(
      kind, count: count, address: address,
      enablesPage: hypercalls == EXIT_FLOOR_HYPERCALLS_BY_KVM)
    // SAFETY: the image is copied.
    guard let floor = unsafe exit_floor_make(image.bytes, image.bytes.count, hypercalls) else {
      throw BenchmarkError("the C floor of exits did not start")
    }
    unsafe self.floor = floor
  }

  deinit {
    unsafe exit_floor_free(floor)
  }

  /// Nanoseconds of one round; nil if the guest did something else.
  func round() -> Int64? {
    // SAFETY: the floor lives as long as self.
    let time = unsafe exit_floor_round(floor)
    return time < 0 ? nil : time
  }
}
