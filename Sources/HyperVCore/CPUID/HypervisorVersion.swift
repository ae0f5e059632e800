/// The version in leaf 0x40000002. Informational: no feature depends on it. A thread-safe value.
///
/// As text it is `MAJOR.MINOR.BUILD.NUMBER-PACK-BRANCH`, which is how Linux prints it; see
/// ``init(_:)`` for what may be left out.
///
/// Source: TLFS, Feature Discovery, leaf 0x40000002.
public struct HypervisorVersion: Hashable, Sendable {
  /// What KVM itself reports, so that a guest sees the same version from either transport:
  /// Server 2016.
  public static let `default` = HypervisorVersion(major: 10, minor: 0, build: 14393)

  /// EBX bits 31:16.
  public var major: UInt16
  /// EBX bits 15:0.
  public var minor: UInt16
  /// EAX.
  public var build: UInt32
  /// *Service Number*, EDX bits 23:0; more has no place.
  public var serviceNumber: UInt32
  /// *Service Pack*, ECX.
  public var servicePack: UInt32
  /// *Service Branch*, EDX bits 31:24.
  public var serviceBranch: UInt8

  /// The largest service number.
  public static let maximumServiceNumber: UInt32 = 0xFF_FFFF

  /// Composes a version; checked by `precondition`: ``serviceNumber`` has 24 bits.
  public init(
    major: UInt16, minor: UInt16, build: UInt32, serviceNumber: UInt32 = 0,
    servicePack: UInt32 = 0, serviceBranch: UInt8 = 0
  ) {
    precondition(
      serviceNumber <= Self.maximumServiceNumber, "service number \(serviceNumber) has 24 bits")
    self.major = major
    self.minor = minor
    self.build = build
    self.serviceNumber = serviceNumber
    self.servicePack = servicePack
    self.serviceBranch = serviceBranch
  }

  var leaf: HyperVLeaf {
    HyperVLeaf(
      function: 0x4000_0002, eax: build, ebx: UInt32(major) << 16 | UInt32(minor),
      ecx: servicePack, edx: UInt32(serviceBranch) << 24 | serviceNumber & Self.maximumServiceNumber
    )
  }
}

extension HypervisorVersion: LosslessStringConvertible {
  /// All six numbers.
  public var description: String {
    "\(major).\(minor).\(build).\(serviceNumber)-\(servicePack)-\(serviceBranch)"
  }

  /// `10.0.20348`, `10.0.20348.1` or `10.0.20348.1-0-0`: decimal numbers that fit their fields. Nil
  /// for any other text.
  public init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    let numbers = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 1 || (parts.count == 3 && numbers.count == 4),
      (3...4).contains(numbers.count),
      // Integers would take a sign, too.
      (parts.dropFirst() + numbers).allSatisfy({ $0.utf8.first != UInt8(ascii: "+") }),
      let major = UInt16(numbers[0]), let minor = UInt16(numbers[1]),
      let build = UInt32(numbers[2]),
      let number = numbers.count == 4 ? UInt32(numbers[3]) : 0, number <= Self.maximumServiceNumber,
      let pack = parts.count == 3 ? UInt32(parts[1]) : 0,
      let branch = parts.count == 3 ? UInt8(parts[2]) : 0
    else { return nil }
    self.init(
      major: major, minor: minor, build: build, serviceNumber: number, servicePack: pack,
      serviceBranch: branch)
  }
}
