internal import HostPages
public import MachineSpecification

extension WrittenPageSourceKind {
  /// What costs least on this host: looking at memory, where it is not all populated before the
  /// guest starts, and the kernel can tell what is; else the dirty log.
  public static func automatic(isPreallocated: Bool) -> WrittenPageSourceKind {
    !isPreallocated && populated.obstacle == nil ? .populated : .dirtyLog
  }

  /// What keeps this source from working on this host; nil if nothing does.
  public var obstacle: MachineError? {
    switch self {
    // In every KVM since Linux 2.6.
    case .dirtyLog: nil
    case .writeProtect: WriteProtection.obstacle().map { .hostPages($0) }
    case .populated: PopulatedPages.obstacle().map { .hostPages($0) }
    }
  }
}
