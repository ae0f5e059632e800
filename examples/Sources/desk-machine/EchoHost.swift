import DeviceKit
import Foundation

/// The far end of a network card's cable: a host that says it has every IPv4 address that is asked
/// for (ARP, RFC 826), and answers pings (ICMP echo, RFC 792).
///
/// The card's two threads meet here: the one that sends leaves answers, the other waits for them.
/// Sendable because every access to `answers`, `isStopped` and `count` is between `lock` and
/// `unlock` of the condition, and `received` is only the thread's that receives.
final class EchoHost: NetworkBackend, @unchecked Sendable {
  let headerByteCount = 0
  let maximumFrameByteCount = 1514
  let mtu: UInt16? = 1500
  let offloads: NetworkOffloads = []
  let hasLink = true

  /// An address that is this host's own: bit 1 of the first byte says that nobody gave it out.
  private static let address: [UInt8] = [0x02, 0, 0, 0, 0, 1]
  /// More answers than this wait for nobody: the guest does not take them.
  private static let most = 256

  private let condition = NSCondition()
  private var answers: [[UInt8]] = []
  private var isStopped = false
  private var count = 0
  /// On its way to the card.
  private var received = NetworkFrames(headerByteCount: 0, maximumFrameByteCount: 1514)

  /// How many frames were answered.
  var answerCount: Int { condition.withLock { count } }

  func setReceiveOffloads(_ offloads: NetworkOffloads) {}

  func start() {
    condition.withLock { isStopped = false }
  }

  func stop() {
    condition.withLock {
      isStopped = true
      condition.broadcast()
    }
  }

  func send(_ frames: inout NetworkFrames) {
    while let frame = frames.withFirst({ span in
      (0..<span.byteCount).map { span.unsafeLoad(fromByteOffset: $0, as: UInt8.self) }
    }) {
      frames.removeFirst()
      guard let answer = Self.answer(to: frame) else { continue }
      condition.withLock {
        guard answers.count < Self.most else { return }
        answers.append(answer)
        count += 1
        condition.signal()
      }
    }
  }

  func receive(_ take: (inout NetworkFrames) -> Void) -> NetworkReception {
    let isOver = condition.withLock {
      // What the card left there it gets again at once.
      while answers.isEmpty, received.isEmpty, !isStopped { condition.wait() }
      while let answer = answers.first, received.hasRoom {
        received.begin()
        received.append(answer.span.bytes)
        received.finish()
        answers.removeFirst()
      }
      return isStopped
    }
    guard !isOver else { return .stopped }
    take(&received)
    return .frames
  }

  /// What this host says to a frame; nil for nothing. The guest chose every byte.
  private static func answer(to frame: [UInt8]) -> [UInt8]? {
    guard frame.count >= 42 else { return nil }
    var answer = frame
    answer.replaceSubrange(0..<6, with: frame[6..<12])
    answer.replaceSubrange(6..<12, with: address)
    switch (frame[12], frame[13]) {
    case (0x08, 0x06) where frame[20] == 0 && frame[21] == 1:
      // A request becomes a reply: the address that was asked for is the sender's now.
      answer[21] = 2
      answer.replaceSubrange(22..<28, with: address)
      answer.replaceSubrange(28..<32, with: frame[38..<42])
      answer.replaceSubrange(32..<42, with: frame[22..<32])
    case (0x08, 0x00) where frame[14] == 0x45 && frame[23] == 1 && frame[34] == 8:
      answer.replaceSubrange(26..<30, with: frame[30..<34])
      answer.replaceSubrange(30..<34, with: frame[26..<30])
      // The type goes from 8 to 0; the checksum, in ones' complement, makes up for it.
      answer[34] = 0
      let sum = UInt32(frame[36]) << 8 + UInt32(frame[37]) + 0x0800
      let folded = sum & 0xFFFF + sum >> 16
      (answer[36], answer[37]) = (UInt8(folded >> 8), UInt8(folded & 0xFF))
    default: return nil
    }
    return answer
  }
}
