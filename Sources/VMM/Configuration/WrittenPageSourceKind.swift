internal import HostPages

/// What tracks the guest's writes.
public enum WrittenPageSourceKind: String, Hashable, Sendable, CaseIterable {
  /// KVM's dirty log: every guest write, on every kernel and backing, without privilege.
  case dirtyLog = "dirty-log"
  /// Write protection of this process's mapping (userfaultfd): the guest's writes, this process's
  /// own and those of the kernel for others, such as vhost. Linux 6.7.
  case writeProtect = "write-protect"

  /// For people: `dirty log`.
  public var title: String {
    switch self {
    case .dirtyLog: "dirty log"
    case .writeProtect: "write protection"
    }
  }
}

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
