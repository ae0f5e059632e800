internal import Devices
internal import Glibc
internal import HostSystem
internal import MachineSpecification

/// passt: the host's network for a machine, without privileges, as a program of its own.
enum PasstProgram {
  static let name = "passt"
  /// What a Debian host lacks where there is none.
  static let cure = "install it: apt install passt"
  /// It hands out 65520 bytes otherwise, and guests' drivers do not all take that.
  private static let mtu: UInt16 = 1500

  /// Where it is; nil if it is not installed.
  static var path: String? { ChildProcess.find(name) }

  /// Starts it. It ends when its socket closes, at the latest with this process.
  static func start(_ forwards: [PortForward], onGone: @escaping @Sendable () -> Void) throws
    -> StreamNetwork
  {
    guard let path else {
      throw NetworkError("--net user needs the program passt, which is not there; \(cure)")
    }
    let ends: (Int32, Int32)
    do throws(Errno) {
      ends = try UnixSocket.pair()
    } catch {
      throw NetworkError("cannot make a socket for passt: \(error)")
    }
    let own = FileDescriptor(taking: ends.0)
    let far = FileDescriptor(taking: ends.1)
    do throws(Errno) {
      let process = try ChildProcess(
        path, arguments(forwards, hasRoute: hasDefaultRoute), inheriting: [far.rawValue],
        output: .standardError)
      // For good: it ends when its socket closes, and the sandbox lets nothing wait for it.
      _ = unsafe Unmanaged.passRetained(process)
      return try StreamNetwork(taking: own.release(), mtu: mtu, onGone: onGone)
    } catch {
      throw NetworkError("cannot start \(path): \(error)")
    }
  }

  /// - Parameter hasRoute: whether this host reaches others. Where it does not, passt has no
  ///   address to take over, and gets one.
  static func arguments(_ forwards: [PortForward], hasRoute: Bool) -> [String] {
    var arguments = ["-f", "-q", "-m", "\(mtu)", "--fd", "3"]
    if !hasRoute {
      arguments += [
        "-4", "-i", "lo", "-M", "52:55:0a:00:02:02", "-a", "10.0.2.15", "-n", "24", "-g",
        "10.0.2.2",
      ]
    }
    for forward in forwards {
      let address = forward.hostAddress.map { "\($0)/" } ?? ""
      arguments += [
        forward.transport == .tcp ? "-t" : "-u",
        "\(address)\(forward.hostPort):\(forward.guestPort)",
      ]
    }
    return arguments
  }

  /// Whether there is a default route, by IPv4 or IPv6.
  private static var hasDefaultRoute: Bool {
    let four = lines("/proc/net/route").dropFirst().contains { line in
      let fields = line.split(separator: "\t")
      return fields.count > 7 && fields[1] == "00000000" && fields[7] == "00000000"
    }
    // Destination, its prefix; the one of lo is that of a host without any.
    return four
      || lines("/proc/net/ipv6_route").contains { line in
        let fields = line.split(separator: " ")
        return fields.count > 9 && fields[0].allSatisfy({ $0 == "0" }) && fields[1] == "00"
          && fields[9] != "lo"
      }
  }

  private static func lines(_ path: String) -> [Substring] {
    let bytes = (try? GuestFile.program(path).read()) ?? []
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
  }
}
