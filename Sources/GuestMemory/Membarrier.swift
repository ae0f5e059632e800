internal import CLinux

/// membarrier(2): a barrier in every running thread of the process, so that those that run often
/// need none of their own.
enum Membarrier {
  /// Whether this process may use it: not with a kernel before 4.14, nor under a filter of system
  /// calls that forbids it.
  ///
  /// The first use registers the process. Once it has threads that takes a grace period of the
  /// kernel, some milliseconds; before, nothing.
  static let isAvailable = clinux_register_for_membarrier() == 0

  /// Returns when every other thread of the process has passed a full barrier since the call, or is
  /// not running and passes one before it goes on.
  static func synchronize() {
    let result = clinux_membarrier()
    // Registered, it fails for no reason the manual knows. To go on without would break the gate.
    precondition(result == 0, "membarrier")
  }
}
