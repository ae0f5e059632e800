internal import Glibc
internal import HostSystem
internal import MachineSpecification

/// Where a machine moves to, or is waited for.
enum MigrationAddress: Equatable, Sendable, CustomStringConvertible {
  /// The path of a socket.
  case unix(String)
  /// An IPv4 or IPv6 address in numbers, and a port.
  case tcp(host: String, port: UInt16)

  /// Reads `unix:PATH` or `tcp:ADDRESS:PORT`; IPv6 addresses stand in brackets.
  init(parsing text: String) throws(SpecValueError) {
    if text.hasPrefix("unix:"), text.count > 5 {
      self = .unix(String(text.dropFirst(5)))
      return
    }
    if text.hasPrefix("tcp:"), let colon = text.lastIndex(of: ":"),
      colon > text.index(text.startIndex, offsetBy: 4)
    {
      var host = String(text[..<colon].dropFirst(4))
      let digits = text[text.index(after: colon)...]
      let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
      if isBracketed { host = String(host.dropFirst().dropLast()) }
      if digits.allSatisfy(\.isASCII), let port = UInt16(digits), port > 0,
        isBracketed == host.contains(":"), Self.isAddress(host)
      {
        self = .tcp(host: host, port: port)
        return
      }
    }
    throw SpecValueError(
      "\(QuotedText(text)) is neither unix:PATH nor tcp:ADDRESS:PORT, with an address in numbers")
  }

  var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .tcp(let host, let port):
      "tcp:" + (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
    }
  }

  private static func isAddress(_ host: String) -> Bool {
    var four = in_addr()
    var six = in6_addr()
    // SAFETY: both are locals of the types that the call fills.
    let isFour = unsafe inet_pton(AF_INET, host, &four) == 1
    let isSix = unsafe inet_pton(AF_INET6, host, &six) == 1
    return isFour || isSix
  }

  // MARK: Sockets

  private static let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

  /// A socket that is connected to whoever waits there.
  func connected() throws(Errno) -> FileDescriptor {
    switch self {
    case .unix(let path): return try UnixSocket.connected(to: ArgumentText.bytes(of: path))
    case .tcp(let host, let port):
      let file = try Self.tcpSocket(host)
      // SAFETY: the address lives for the call.
      try unsafe Self.withAddress(host, port) { (address, count) throws(Errno) in
        let result = unsafe connect(file.rawValue, address, count)
        let error = Errno.current
        if result != 0 { throw error }
      }
      return file
    }
  }

  /// One that listens there for one connection.
  func listening() throws(Errno) -> FileDescriptor {
    switch self {
    case .unix(let path):
      return try UnixSocket.listening(at: ArgumentText.bytes(of: path), backlog: 1)
    case .tcp(let host, let port):
      let file = try Self.tcpSocket(host)
      // SAFETY: as above.
      try unsafe Self.withAddress(host, port) { (address, count) throws(Errno) in
        let result = unsafe bind(file.rawValue, address, count)
        let error = Errno.current
        if result != 0 { throw error }
      }
      let result = listen(file.rawValue, 1)
      let error = Errno.current
      if result != 0 { throw error }
      return file
    }
  }

  /// Connections that are accepted have the same options: no delay of what is small, and an end
  /// for peers that are gone.
  private static func tcpSocket(_ host: String) throws(Errno) -> FileDescriptor {
    let file = try FileDescriptor { socket(host.contains(":") ? AF_INET6 : AF_INET, type, 0) }
    for (level, option) in [
      (SOL_SOCKET, SO_REUSEADDR), (SOL_SOCKET, SO_KEEPALIVE), (Int32(IPPROTO_TCP), TCP_NODELAY),
    ] {
      var on: Int32 = 1
      // SAFETY: a local, and its length.
      _ = unsafe setsockopt(
        file.rawValue, level, option, &on, socklen_t(MemoryLayout<Int32>.size))
    }
    return file
  }

  private static func withAddress(
    _ host: String, _ port: UInt16,
    _ body: (UnsafePointer<sockaddr>, socklen_t) throws(Errno) -> Void
  ) throws(Errno) {
    if host.contains(":") {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      // SAFETY: a local of the type that the call fills.
      _ = unsafe inet_pton(AF_INET6, host, &address.sin6_addr)
      try unsafe call(address, body)
    } else {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      // SAFETY: a local of the type that the call fills.
      _ = unsafe inet_pton(AF_INET, host, &address.sin_addr)
      try unsafe call(address, body)
    }
  }

  private static func call<Address>(
    _ address: Address, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(Errno) -> Void
  ) throws(Errno) {
    // SAFETY: a socket address of its own family, which lives for the call, and its length.
    try unsafe withUnsafePointer(to: address) { (pointer) throws(Errno) in
      try unsafe body(
        UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self),
        socklen_t(MemoryLayout<Address>.size))
    }
  }
}
