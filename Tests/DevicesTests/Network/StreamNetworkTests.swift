import Bytes
import DeviceKit
import Devices
import Glibc
import HostSystem
import Sandbox
import TestSupport
import Testing

/// A stream socket as the far end, under the filter of a card's threads.
@Suite(.timeLimit(.minutes(5)))
struct StreamNetworkTests {
  /// A back-end, its peer's socket, and frames for it.
  private final class Cable: Sendable {
    let network: StreamNetwork
    let peer: FileDescriptor
    let card: RoleThread

    init(_ type: Int32 = Int32(SOCK_STREAM.rawValue), goneCount: Recorder<Bool>? = nil) throws {
      var pair: [2 of Int32] = [-1, -1]
      var span = pair.mutableSpan
      // SAFETY: two descriptors, which the call sets.
      let result = unsafe span.withUnsafeMutableBufferPointer {
        unsafe socketpair(AF_UNIX, type, 0, $0.baseAddress)
      }
      try #require(result == 0)
      network = try StreamNetwork(taking: pair[0]) { goneCount?.append(true) }
      peer = FileDescriptor(taking: pair[1])
      card = RoleThread(.network, policy: Self.policy)
      network.start()
    }

    private static var policy: SandboxPolicy {
      var policy = SandboxPolicy()
      policy.hasNetwork = true
      return policy
    }

    /// Sends frames of these lengths, with their number in the first byte.
    func send(_ byteCounts: [Int]) {
      card.run { [network] in
        var frames = NetworkFrames(for: network)
        for (index, byteCount) in byteCounts.enumerated() {
          frames.begin()
          frames.extend(byCount: byteCount) { span in
            for place in 0..<byteCount { span.storeLE(UInt8(truncatingIfNeeded: index), at: place) }
          }
          frames.finish()
          if !frames.hasRoom { network.send(&frames) }
        }
        network.send(&frames)
      }
    }

    func write(_ bytes: [UInt8]) {
      var bytes = bytes
      // SAFETY: the array has as many bytes.
      let count = unsafe Glibc.write(peer.rawValue, &bytes, bytes.count)
      #expect(count == bytes.count)
    }

    /// What one read of the peer finds; nil at the end, or for what is none.
    func read(_ flags: Int32 = 0) -> [UInt8]? {
      var bytes = [UInt8](repeating: 0, count: 1 << 20)
      // SAFETY: the array has as many bytes.
      let count = unsafe recv(peer.rawValue, &bytes, bytes.count, flags)
      return count > 0 ? Array(bytes[..<count]) : nil
    }

    /// The lengths of frames that come in, by one call.
    func receive() -> (NetworkReception, [Int]) {
      card.run { [network] in
        var lengths: [Int] = []
        let reception = network.receive { frames in
          while let length = frames.firstByteCount {
            lengths.append(length)
            frames.removeFirst()
          }
        }
        return (reception, lengths)
      }
    }
  }

  private static func lengths(of stream: [UInt8]) -> [Int] {
    var lengths: [Int] = []
    var place = 0
    while place < stream.count {
      let length = Int(stream.loadBE(at: place, as: UInt32.self))
      lengths.append(length)
      place += 4 + length
    }
    #expect(place == stream.count, "a frame is cut in two")
    return lengths
  }

  @Test("each write is of whole frames, as many as fit in 32 KiB")
  func writesAreWholeFrames() throws {
    // A socket that keeps writes apart.
    let cable = try Cable(Int32(SOCK_SEQPACKET.rawValue))
    let sent = (0..<60).map { 60 + 25 * $0 } + [40_000, 14, 1514]
    cable.send(sent)
    var seen: [Int] = []
    while let write = cable.read(Int32(MSG_DONTWAIT)) {
      let lengths = Self.lengths(of: write)
      #expect(write.count <= 32 * 1024 || lengths.count == 1)
      seen += lengths
    }
    #expect(seen == sent)
  }

  @Test func framesComeInAsTheyWereSent() throws {
    let cable = try Cable()
    for count in [14, 60, 1514, 65_535] {
      cable.write(UInt32(count).bigEndianBytes + Array(repeating: 7, count: count))
    }
    var seen: [Int] = []
    while seen.count < 4 {
      let (reception, lengths) = cable.receive()
      guard case .frames = reception else { break }
      seen += lengths
    }
    #expect(seen == [14, 60, 1514, 65_535])
  }

  @Test func whatIsLeftIsHandedOverAgain() throws {
    let cable = try Cable()
    for value in 0..<3 as Range<UInt8> {
      cable.write([0, 0, 0, 14] + Array(repeating: value, count: 14))
    }
    var seen: [UInt8] = []
    while seen.count < 3 {
      seen += cable.card.run { [network = cable.network] in
        var first: UInt8?
        _ = network.receive { frames in
          first = frames.withFirst { $0.loadLE(at: 0) }
          frames.removeFirst()
        }
        return first.map { [$0] } ?? []
      }
    }
    #expect(seen == [0, 1, 2])
  }

  @Test("stop ends a send to a peer that takes nothing, and no frame is cut by that")
  func stopAmongFrames() throws {
    let cable = try Cable()
    let isBlocked = Recorder<Bool>()
    TestThreads.start { [network = cable.network, peer = cable.peer.rawValue] in
      // Until the socket is full: the queue of the peer grows no more.
      var before: Int32 = -1
      while true {
        var queued: Int32 = 0
        // SAFETY: FIONREAD sets a local.
        _ = unsafe ioctl(peer, UInt(FIONREAD), &queued)
        if queued > 0, queued == before { break }
        before = queued
        usleep(20_000)
      }
      isBlocked.append(true)
      network.stop()
    }
    cable.send(Array(repeating: 1514, count: 2000))
    #expect(isBlocked.values == [true])
    cable.network.start()
    // What was queued, and the rest of a frame that was begun.
    var stream: [UInt8] = []
    while let bytes = cable.read(Int32(MSG_DONTWAIT)) { stream += bytes }
    cable.send([100])
    while let bytes = cable.read(Int32(MSG_DONTWAIT)) { stream += bytes }
    let lengths = Self.lengths(of: stream)
    #expect(lengths.last == 100)
    #expect(lengths.dropLast().allSatisfy { $0 == 1514 } && lengths.count > 10)
  }

  @Test("a peer that has gone takes the link down once, and sending goes on into nothing")
  func goneDuringTheRun() throws {
    let gone = Recorder<Bool>()
    let cable = try Cable(goneCount: gone)
    #expect(cable.network.hasLink)
    // Both directions; the descriptor stays.
    #expect(shutdown(cable.peer.rawValue, Int32(SHUT_RDWR)) == 0)
    cable.send([60, 60])
    guard case (.linkChanged, []) = cable.receive() else {
      Issue.record("the link is still up")
      return
    }
    #expect(!cable.network.hasLink && gone.values == [true])
    cable.send(Array(repeating: 1514, count: 1000))
    cable.network.stop()
    guard case (.stopped, []) = cable.receive() else {
      Issue.record("not stopped")
      return
    }
    #expect(gone.values == [true])
  }

  @Test func stopEndsAWaitForFrames() throws {
    let cable = try Cable()
    TestThreads.start { [network = cable.network] in network.stop() }
    guard case (.stopped, []) = cable.receive() else {
      Issue.record("not stopped")
      return
    }
  }

  @Test func aPulledCable() throws {
    let gone = Recorder<Bool>()
    let cable = try Cable(goneCount: gone)
    #expect(cable.network.hasLink)
    cable.network.isPlugged = false
    #expect(!cable.network.hasLink)
    #expect(cable.receive().0 == .linkChanged)
    // What is sent and comes meanwhile is lost.
    cable.send([100, 200])
    #expect(cable.read(Int32(MSG_DONTWAIT)) == nil)
    cable.write(UInt32(60).bigEndianBytes + [UInt8](repeating: 1, count: 60))
    TestThreads.run([
      { #expect(cable.receive().0 == .linkChanged) },
      {
        // It is read, so that the far end can go on.
        var count: Int32 = 1
        while count > 0 {
          _ = unsafe ioctl(cable.peer.rawValue, UInt(TIOCOUTQ), &count)
          TestThreads.nap(microseconds: 100)
        }
        cable.network.isPlugged = true
      },
    ])
    #expect(cable.network.hasLink)
    cable.send([100])
    #expect(cable.read().map(Self.lengths) == [100])
    cable.write(UInt32(61).bigEndianBytes + [UInt8](repeating: 1, count: 61))
    let (reception, lengths) = cable.receive()
    #expect(reception == .frames && lengths == [61])
    let counts = cable.network.counts
    #expect(counts.sentFrames == 1 && counts.sentBytes == 100)
    #expect(counts.receivedFrames == 1 && counts.receivedBytes == 61)
    // Twice the same is no change, and neither is there and back before anybody looks.
    cable.network.isPlugged = true
    cable.network.isPlugged = false
    cable.network.isPlugged = true
    cable.network.stop()
    #expect(cable.receive().0 == .stopped)
    #expect(gone.values == [])
  }
}
