internal import Glibc
public import HostSystem

/// Where viewers connect.
public enum VNCAddress: Hashable, Sendable, CustomStringConvertible {
  /// An IPv4 or IPv6 address in numbers, and a port.
  case tcp(host: String, port: UInt16)
  /// A socket in the file system, by a path without NUL.
  case unix(bytes: [UInt8])

  /// The port of display 0.
  public static let firstPort: UInt16 = 5900
  /// The highest display.
  public static let lastDisplay = 65_535 - Int(firstPort)

  /// Reads `[HOST]:DISPLAY` or `unix:PATH`. Without a host, and for `localhost`, it is 127.0.0.1;
  /// IPv6 addresses stand in brackets. Nil for anything else.
  ///
  /// - Parameter pathBytes: the bytes of a path, where its text is not simply UTF-8.
  public init?(
    _ text: String, pathBytes: (String) -> [UInt8] = { Array($0.utf8) }
  ) {
    if text.hasPrefix("unix:") {
      let path = text.dropFirst(5)
      guard !path.isEmpty else { return nil }
      self = .unix(bytes: pathBytes(String(path)))
      return
    }
    guard let colon = text.lastIndex(of: ":") else { return nil }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) }),
      let display = Int(digits), display <= Self.lastDisplay
    else { return nil }
    var host = String(text[..<colon])
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = String(host.dropFirst().dropLast())
      guard host.contains(":") else { return nil }
    } else if host.contains(":") {
      return nil
    }
    if host.isEmpty || host == "localhost" { host = "127.0.0.1" }
    guard Self.isAddress(host) else { return nil }
    self = .tcp(host: host, port: Self.firstPort + UInt16(display))
  }

  /// A socket by a path that is text.
  public static func unix(path: String) -> VNCAddress { .unix(bytes: Array(path.utf8)) }

  static func loopback(display: Int) -> VNCAddress {
    .tcp(host: "127.0.0.1", port: firstPort + UInt16(display))
  }

  /// Whether only this host reaches it.
  public var isLocal: Bool {
    switch self {
    case .unix: true
    case .tcp(let host, _): host == "::1" || host.hasPrefix("127.")
    }
  }

  /// As viewers want it: a host and a display, or a path.
  public var description: String {
    switch self {
    case .unix(let bytes): "unix:\(String(decoding: bytes, as: UTF8.self))"
    case .tcp(let host, let port):
      (host.contains(":") ? "[\(host)]" : host) + ":\(Int(port) - Int(Self.firstPort))"
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
}

/// A socket that viewers connect to. Made before the sandbox closes.
public struct VNCListener: ~Copyable, Sendable {
  /// Why there is none.
  public struct Failure: Error, Equatable, CustomStringConvertible {
    public let address: VNCAddress
    public let reason: Errno

    public var description: String { "cannot listen on \(address): \(reason)" }
  }

  public let address: VNCAddress
  let file: FileDescriptor

  /// Binds and listens. A socket file that nothing listens on any more is replaced.
  public init(_ address: VNCAddress) throws(Failure) {
    self.address = address
    do throws(Errno) {
      switch address {
      case .tcp(let host, let port):
        file = try Self.listen(host: host, port: port)
      case .unix(let bytes):
        file = try UnixSocket.listening(at: bytes, backlog: Self.backlog)
      }
    } catch {
      throw Failure(address: address, reason: error)
    }
  }

  /// Listens on the first of a hundred displays of 127.0.0.1 that is free.
  public static func onFirstFreeDisplay() throws(Failure) -> VNCListener {
    for display in 0..<99 {
      do throws(Failure) {
        return try VNCListener(.loopback(display: display))
      } catch {
        guard error.reason == Errno(EADDRINUSE) else { throw error }
      }
    }
    return try VNCListener(.loopback(display: 99))
  }

  private static let backlog: Int32 = 16
  private static let type = Int32(
    SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)

  private static func listen(host: String, port: UInt16) throws(Errno) -> FileDescriptor {
    let family = host.contains(":") ? AF_INET6 : AF_INET
    let file = try FileDescriptor { socket(family, type, 0) }
    // Connections that are accepted have the same: no delay of small writes, and an end for peers
    // that are gone.
    for (level, option) in [
      (SOL_SOCKET, SO_REUSEADDR), (SOL_SOCKET, SO_KEEPALIVE), (Int32(IPPROTO_TCP), TCP_NODELAY),
    ] {
      var on: Int32 = 1
      // SAFETY: a local, and its length.
      _ = unsafe setsockopt(
        file.rawValue, level, option, &on, socklen_t(MemoryLayout<Int32>.size))
    }
    let result: Int32
    if family == AF_INET6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      // SAFETY: a local of the type that the call fills.
      _ = unsafe inet_pton(AF_INET6, host, &address.sin6_addr)
      result = bind(file.rawValue, &address)
    } else {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      // SAFETY: a local of the type that the call fills.
      _ = unsafe inet_pton(AF_INET, host, &address.sin_addr)
      result = bind(file.rawValue, &address)
    }
    try check(result)
    try check(Glibc.listen(file.rawValue, backlog))
    return file
  }

  private static func bind<T>(_ descriptor: Int32, _ address: inout T) -> Int32 {
    // SAFETY: a socket address of its own family, and its length.
    unsafe withUnsafePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<T>.size))
      }
    }
  }

  private static func check(_ result: Int32) throws(Errno) {
    let error = Errno.current
    if result != 0 { throw error }
  }
}
