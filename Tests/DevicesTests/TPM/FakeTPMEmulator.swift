import Bytes
import Glibc
import HostSystem
import TestSupport

/// The other end of an emulator's sockets: speaks swtpm's protocol as long as it is not given
/// something else to say.
final class FakeTPMEmulator: Sendable {
  enum Act: Sendable {
    case send([UInt8])
    /// Says nothing, and goes on.
    case nothing
    /// Ends, as a process that was killed.
    case end
  }

  /// Codes of the control socket, in their order.
  let requests = Recorder<UInt32>()
  /// What came with them.
  let bodies = Recorder<[UInt8]>()
  let commands = Recorder<[UInt8]>()
  /// For the `TPMEmulator`, which takes it over.
  let control: Int32

  static let capabilities: [UInt8] = [0, 0, 0, 0, 0, 0, 0x3F, 0xFF]
  static let success: [UInt8] = [0, 0, 0, 0]
  /// *TPM_RC_INITIALIZE*: a TPM 2.0 before its start-up.
  static let notStarted: [UInt8] = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0]

  /// - Parameters:
  ///   - reply: to a control request; nil for the usual one.
  ///   - answer: to the TPM command with this number, from 0 on; nil for `notStarted`.
  init(
    reply: @escaping @Sendable (UInt32) -> Act? = { _ in nil },
    answer: @escaping @Sendable (Int) -> Act? = { _ in nil }
  ) throws {
    let own: Int32
    (control, own) = try UnixSocket.pair()
    TestThreads.start { [requests, bodies, commands] in
      Peer(control: own, requests, bodies, commands, reply, answer).run()
    }
  }

  /// The reply to *GET_STATEBLOB*: so many bytes as the kind's number, with flags.
  static func state(kind: UInt8) -> [UInt8] {
    success + [0, 0, 0, 2, 0, 0, 0, kind, 0, 0, 0, kind]
      + [UInt8](repeating: 0xA0 + kind, count: Int(kind))
  }

  private final class Peer {
    private let control: Int32
    private var data: Int32 = -1
    private let requests: Recorder<UInt32>
    private let bodies: Recorder<[UInt8]>
    private let commands: Recorder<[UInt8]>
    private let reply: (UInt32) -> Act?
    private let answer: (Int) -> Act?

    init(
      control: Int32, _ requests: Recorder<UInt32>, _ bodies: Recorder<[UInt8]>,
      _ commands: Recorder<[UInt8]>, _ reply: @escaping (UInt32) -> Act?,
      _ answer: @escaping (Int) -> Act?
    ) {
      self.control = control
      self.requests = requests
      self.bodies = bodies
      self.commands = commands
      self.reply = reply
      self.answer = answer
    }

    /// Until both sockets are closed at the other end.
    func run() {
      var isOver = false
      while !isOver {
        var set = [control, data].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard unsafe poll(&set, 2, -1) > 0 else { continue }
        if set[0].revents != 0 { isOver = !serveControl() }
        if !isOver, set[1].revents != 0 { isOver = !serveData() }
      }
      close(control)
      if data >= 0 { close(data) }
    }

    private func serveControl() -> Bool {
      guard let header = read(4) else { return false }
      let code: UInt32 = header.loadBE(at: 0)
      var body: [UInt8] = []
      switch code {
      case 0x02, 0x11: body = read(4) ?? []
      case 0x0C: body = read(12) ?? []
      case 0x0D:
        body = read(12) ?? []
        guard body.count == 12, let bytes = read(Int(body.loadBE(at: 8, as: UInt32.self))) else {
          return false
        }
        body += bytes
      default: break
      }
      requests.append(code)
      bodies.append(body)
      let usual: [UInt8] =
        switch code {
        case 0x01: FakeTPMEmulator.capabilities
        case 0x11: FakeTPMEmulator.success + body + [0, 0, 0x0A, 0xF8, 0, 0, 0x10, 0]
        case 0x0C: FakeTPMEmulator.state(kind: body[7])
        default: FakeTPMEmulator.success
        }
      return act(reply(code) ?? .send(usual), on: control)
    }

    private func serveData() -> Bool {
      var bytes = [UInt8](repeating: 0, count: 4096)
      // SAFETY: the bytes, and their number.
      let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe recv(data, $0.baseAddress, $0.count, 0)
      }
      guard count > 0 else { return false }
      commands.append(Array(bytes.prefix(count)))
      return act(
        answer(commands.values.count - 1) ?? .send(FakeTPMEmulator.notStarted), on: data)
    }

    private func act(_ act: Act, on socket: Int32) -> Bool {
      switch act {
      case .nothing: return true
      case .end: return false
      case .send(let bytes):
        // SAFETY: the bytes, and their number.
        return unsafe bytes.withUnsafeBytes {
          unsafe send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        } == bytes.count
      }
    }

    /// From the control socket; takes the descriptor that comes along.
    private func read(_ count: Int) -> [UInt8]? {
      var bytes = [UInt8](repeating: 0, count: count)
      // A `cmsghdr` of 16 bytes, and a descriptor.
      var rights = [UInt64](repeating: 0, count: 3)
      // SAFETY: all of it lives for the call, with its length.
      let received = unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe rights.withUnsafeMutableBytes { rights in
          var part = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
          return unsafe withUnsafeMutablePointer(to: &part) { part in
            var message = unsafe msghdr()
            unsafe message.msg_iov = part
            unsafe message.msg_iovlen = 1
            unsafe message.msg_control = rights.baseAddress
            unsafe message.msg_controllen = rights.count
            return unsafe recvmsg(
              control, &message, Int32(MSG_WAITALL) | 0x4000_0000)
          }
        }
      }
      if rights[0] == 20 { data = Int32(truncatingIfNeeded: rights[2]) }
      return received == count ? bytes : nil
    }
  }
}
