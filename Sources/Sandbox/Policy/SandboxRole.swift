/// What a thread is there for, and so what it may ask of the kernel.
public enum SandboxRole: UInt16, CaseIterable, Hashable, Sendable {
  /// Everything else: the main thread, which makes the machine, again after a reset; console,
  /// signals, the end of tracking, the real-time clock. No thread has a right that the service role
  /// lacks.
  case service
  /// Runs one vCPU and answers its exits.
  case vcpu
  /// Moves data between a disk image and guest memory.
  case disk

  /// For people: `a vCPU`.
  var article: String {
    switch self {
    case .service: "a service"
    case .vcpu: "a vCPU"
    case .disk: "a disk"
    }
  }
}
