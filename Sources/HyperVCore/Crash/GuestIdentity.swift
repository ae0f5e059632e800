/// What a guest says it is: GUEST_OS_ID. Its own word. A thread-safe value.
///
/// Source: TLFS, Hypercall Interface, "Reporting the Guest OS Identity".
public struct GuestIdentity: RawRepresentable, Hashable, Sendable {
  /// The register value; 0 for a guest that has not said.
  public let rawValue: UInt64

  /// Wraps a register value.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Families of guests.
  public enum Family: Hashable, Sendable {
    /// Open source (bit 63), type 1.
    case linux
    /// Open source, type 2.
    case freeBSD
    /// Microsoft (vendor 1), Windows NT (OS 4).
    case windows
    /// Anything else.
    case other
  }

  /// The guest's family.
  public var family: Family {
    if rawValue >> 63 == 1 {
      return switch rawValue >> 56 & 0x7F {
      case 1: .linux
      case 2: .freeBSD
      default: .other
      }
    }
    return rawValue >> 48 == 1 && rawValue >> 40 & 0xFF == 4 ? .windows : .other
  }
}

extension GuestIdentity: CustomStringConvertible {
  /// `Linux 6.12.118`, `Windows 10.0 build 20348`, or the number.
  public var description: String {
    switch family {
    case .linux:
      // LINUX_VERSION_CODE in bits 47:16.
      "Linux \(rawValue >> 32 & 0xFFFF).\(rawValue >> 24 & 0xFF).\(rawValue >> 16 & 0xFF)"
    case .freeBSD: "FreeBSD (\(rawValue.hexadecimal))"
    case .windows:
      "Windows \(rawValue >> 32 & 0xFF).\(rawValue >> 24 & 0xFF) build \(rawValue & 0xFFFF)"
        + (rawValue >> 16 & 0xFF == 0 ? "" : " service pack \(rawValue >> 16 & 0xFF)")
    case .other: rawValue == 0 ? "a guest without identity" : "guest \(rawValue.hexadecimal)"
    }
  }
}
