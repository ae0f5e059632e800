import KVM

/// What the host does about the dirty log while the guest writes.
enum TrackedState: CaseIterable {
  case never
  case on
  case offBefore
  case offAfter

  var name: String {
    switch self {
    case .never: "log never on (floor)"
    case .on: "log on"
    case .offBefore: "log off before the first write"
    case .offAfter: "log off after all was written"
    }
  }

  /// Options of the slot at its creation.
  var options: MemorySlot.Options {
    self == .never ? [] : .logsDirtyPages
  }
}
