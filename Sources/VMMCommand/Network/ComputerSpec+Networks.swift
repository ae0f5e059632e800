internal import DeviceKit
internal import Devices
internal import Glibc
internal import HostSystem
internal import MachineSpecification
internal import SMBIOS
internal import VMM

/// Why a network card has no far end: one line.
struct NetworkError: Error, Equatable, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

extension ComputerSpec {
  /// Adds the network cards; sockets are connected and programs started from here on.
  ///
  /// - Parameters:
  ///   - vcpuCount: a card has a queue pair for each, if it and its far end can.
  ///   - messages: what happens while the guest runs.
  func addNetworks(
    to computer: inout PersonalComputerConfiguration, vcpuCount: Int,
    _ messages: RateLimitedDiagnostics
  ) throws {
    let machine = computer.uuid == .none ? nil : computer.uuid.bytes
    for (index, network) in networks.enumerated() {
      let address = network.address ?? MACAddress(ofCard: index, in: machine)
      computer.networks.append(
        NetworkConfiguration(
          network.card, address: address.bytes,
          backend: try network.open(
            queuePairCount: network.card.queuePairCount(vcpuCount: vcpuCount),
            onGone: {
              messages.report(
                "network card \(index): its far end has gone, and the link is down")
            })))
    }
  }
}

extension NetworkCardSpec {
  fileprivate func queuePairCount(vcpuCount: Int) -> Int {
    switch self {
    case .e1000e: 1
    case .virtio: min(vcpuCount, VirtioPCIDevice.maximumNetworkQueuePairCount)
    }
  }
}

extension NetworkSpec {
  fileprivate func open(
    queuePairCount: Int, onGone: @escaping @Sendable () -> Void
  ) throws -> any NetworkBackend {
    switch farEnd {
    case .user(let forwards): return try PasstProgram.start(forwards, onGone: onGone)
    case .passt(let path):
      do throws(Errno) {
        return try StreamNetwork(
          taking: try UnixSocket.connected(to: ArgumentText.bytes(of: path)).release(),
          onGone: onGone)
      } catch {
        throw NetworkError(
          "cannot connect to passt at \(ArgumentText.printable(path)): \(error); start it with:"
            + " passt -f -m 1500 -s \(ArgumentText.printable(path))")
      }
    case .tap(let name):
      do throws(TapNetwork.Failure) {
        return try TapNetwork(
          name: name.description, queuePairCount: queuePairCount, onGone: onGone)
      } catch {
        throw NetworkError("--net tap=\(name): \(error)")
      }
    case .socket(let number):
      do throws(Errno) {
        try Self.checkStream(number)
        // The sandbox closes what was inherited; a copy of our own stays.
        let copy = try FileDescriptor { fcntl(number, F_DUPFD_CLOEXEC, 3) }
        close(number)
        return try StreamNetwork(taking: copy.release(), onGone: onGone)
      } catch {
        throw NetworkError("--net socket=\(number) is no connected stream socket: \(error)")
      }
    }
  }

  private static func checkStream(_ socket: Int32) throws(Errno) {
    var type: Int32 = 0
    var count = socklen_t(MemoryLayout<Int32>.size)
    // SAFETY: a local and its length.
    let result = unsafe getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &count)
    let error = Errno.current
    guard result == 0 else { throw error }
    guard type == Int32(SOCK_STREAM.rawValue) else { throw Errno(EPROTOTYPE) }
    var address = sockaddr_storage()
    count = socklen_t(MemoryLayout<sockaddr_storage>.size)
    // SAFETY: a local that is large enough for any address, and its length.
    let peer = unsafe withUnsafeMutablePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe getpeername(socket, $0, &count)
      }
    }
    let reason = Errno.current
    guard peer == 0 else { throw reason }
  }
}
