import HostPages
import KVM

/// Who notes the guest's writes, and when that ends.
enum TrackedState: CaseIterable {
  case never
  case logOn
  case logOffBefore
  case logOffAfter
  case protected
  case protectedEndedBefore
  case protectedEndedAfter

  var name: String {
    switch self {
    case .never: "not tracked"
    case .logOn: "dirty log on"
    case .logOffBefore: "dirty log off before the first write"
    case .logOffAfter: "dirty log off after all was written"
    case .protected: "write protection"
    case .protectedEndedBefore: "write protection ended before the first write"
    case .protectedEndedAfter: "write protection ended after all was written"
    }
  }

  /// Options of the slot at its creation.
  var options: MemorySlot.Options {
    switch self {
    case .logOn, .logOffBefore, .logOffAfter: .logsDirtyPages
    case .never, .protected, .protectedEndedBefore, .protectedEndedAfter: []
    }
  }

  var protects: Bool {
    switch self {
    case .protected, .protectedEndedBefore, .protectedEndedAfter: true
    case .never, .logOn, .logOffBefore, .logOffAfter: false
    }
  }

  /// Whether the guest writes every page before tracking ends.
  var writesFirst: Bool { self == .logOffAfter || self == .protectedEndedAfter }

  var ends: Bool { self != .never && self != .logOn && self != .protected }

  /// Those that this host's kernel can.
  static var possible: [TrackedState] {
    WriteProtection.obstacle() == nil ? allCases : allCases.filter { !$0.protects }
  }
}
