internal import HostPages
public import MachineSpecification

extension WrittenPageSourceKind {
  /// What keeps this source from working on this host; nil if nothing does.
  public var obstacle: MachineError? {
    switch self {
    // In every KVM since Linux 2.6.
    case .dirtyLog: nil
    case .writeProtect: WriteProtection.obstacle().map { .hostPages($0) }
    }
  }
}
