/// A network card, and the far end of its cable. A thread-safe value.
public struct NetworkSpec: Hashable, Sendable {
  /// What the card is connected to.
  public enum FarEnd: Hashable, Sendable {
    /// The host's network as this user reaches it, by a program that is started with the machine
    /// (passt), with ports of the host that lead to the guest.
    case user([PortForward])
    /// A passt that runs already: its UNIX socket.
    case passt(path: String)
    /// A tap device of this host, by the name of its interface.
    case tap(InterfaceName)
    /// A connected stream socket that is open already.
    case socket(descriptor: Int32)
  }

  /// As many as there are places for.
  public static let maximumCount = 8

  public var farEnd: FarEnd
  public var card = NetworkCardSpec.e1000e
  /// Nil for one that is made from the machine's UUID.
  public var address: MACAddress?

  public init(_ farEnd: FarEnd) {
    self.farEnd = farEnd
  }

  package static func check(_ networks: [NetworkSpec]) throws(SpecValueError) {
    guard networks.count <= maximumCount else {
      throw SpecValueError(
        "\(networks.count) network cards are too many; at most \(maximumCount) fit")
    }
    var seen: Set<MACAddress> = []
    for address in networks.compactMap(\.address) where !seen.insert(address).inserted {
      throw SpecValueError("two network cards have the address \(address)")
    }
  }
}

/// What a network card is.
public enum NetworkCardSpec: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  /// Intel's 82574L, for which operating systems have a driver.
  case e1000e
  /// A virtio device, for Linux and for OVMF, which has no driver for the other.
  case virtio
}

/// The name of a network interface. A thread-safe value.
public struct InterfaceName: Hashable, Sendable, CustomStringConvertible {
  /// As the kernel has it: 1 to 15 bytes, no space, slash or colon.
  public let description: String

  public init(_ text: String, part: String = "") throws(SpecValueError) {
    guard (1...15).contains(text.utf8.count), text != ".", text != "..",
      text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x2F && $0 != 0x3A && $0 != 0x7F })
    else {
      throw SpecValueError(
        "\(QuotedText(text)) is no name of a network interface: 1 to 15 bytes without space, '/' and ':'",
        part: part)
    }
    description = text
  }
}

/// A port of the host that leads to the guest. A thread-safe value.
public struct PortForward: Hashable, Sendable, CustomStringConvertible {
  public enum TransportProtocol: String, Hashable, Sendable, CaseIterable {
    case tcp
    case udp
  }

  public let transport: TransportProtocol
  /// An IPv4 address of the host, in numbers; nil for all.
  public let hostAddress: String?
  public let hostPort: UInt16
  public let guestPort: UInt16

  /// Reads `tcp:127.0.0.1:3389-:3389`: a protocol, an address of the host or nothing, its port, and
  /// the guest's port.
  public init(parsing text: String, part: String = "") throws(SpecValueError) {
    let sides = text.split(separator: "-", omittingEmptySubsequences: false)
    let host = sides[0].split(separator: ":", omittingEmptySubsequences: false)
    let guest = sides.last?.split(separator: ":", omittingEmptySubsequences: false) ?? []
    guard sides.count == 2, host.count == 3, guest.count == 2, guest[0].isEmpty,
      let transport = TransportProtocol(rawValue: String(host[0])),
      let hostPort = Self.port(host[2]), let guestPort = Self.port(guest[1]),
      host[1].isEmpty || Self.isAddress(host[1])
    else {
      throw SpecValueError(
        "\(QuotedText(text)) is not as tcp:127.0.0.1:3389-:3389 or udp::5000-:5000: a protocol, an "
          + "IPv4 address of this host or none, its port, and the guest's port", part: part)
    }
    self.transport = transport
    hostAddress = host[1].isEmpty ? nil : String(host[1])
    self.hostPort = hostPort
    self.guestPort = guestPort
  }

  private static func port(_ text: Substring) -> UInt16? {
    // No sign, which `UInt16` takes.
    guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(text), port > 0
    else { return nil }
    return port
  }

  private static func isAddress(_ text: Substring) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { part in
        part.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt8(part) != nil
      }
  }

  /// As `init(parsing:)` reads it.
  public var description: String {
    "\(transport.rawValue):\(hostAddress ?? ""):\(hostPort)-:\(guestPort)"
  }
}

/// The address of a network card. A thread-safe value.
public struct MACAddress: Hashable, Sendable, CustomStringConvertible {
  /// 6, in the order they go over the wire.
  public let bytes: [UInt8]

  /// Reads `52:54:00:12:34:56`; neither a multicast address nor all zeros.
  public init(parsing text: String, part: String = "") throws(SpecValueError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let bytes = parts.compactMap { $0.utf8.count == 2 ? UInt8($0, radix: 16) : nil }
    guard parts.count == 6, bytes.count == 6, !text.contains("+"), bytes[0] & 1 == 0,
      bytes.contains(where: { $0 != 0 })
    else {
      throw SpecValueError(
        "\(QuotedText(text)) is no address of a network card, such as 52:54:00:12:34:56, with "
          + "an even first byte", part: part)
    }
    self.bytes = bytes
  }

  /// A card's own, where nobody chose one: 52:54:00 and three bytes of the machine's UUID, counting
  /// up from card to card; 52:54:00:12:34:56 and so on for a machine without one.
  package init(ofCard index: Int, in machine: [UInt8]?) {
    let end: [UInt8] = machine.map { Array($0.suffix(3)) } ?? [0x12, 0x34, 0x56]
    let number = end.reduce(0) { $0 << 8 | Int($1) } + index
    bytes =
      [0x52, 0x54, 0x00]
      + [16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
  }

  /// As `init(parsing:)` reads it.
  public var description: String {
    bytes.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined(separator: ":")
  }
}
