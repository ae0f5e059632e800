import Bytes
import DeviceKit
import Devices
import Foundation
import Glibc
import HostSystem
import Sandbox
import TestSupport
import Testing

/// A tap device of this host as the far end, under the filter of a card's threads.
@Suite(
  .enabled(if: HostTap.isPossible, "needs /dev/net/tun, iproute2 and the right to make interfaces"),
  .serialized, .timeLimit(.minutes(5)))
struct TapNetworkTests {
  /// For local experiments: what the kernel itself sends has other types.
  private static let etherType: UInt16 = 0x88B5

  private static func frame(_ number: UInt8, byteCount: Int = 60) -> [UInt8] {
    [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xB5, number]
      + [UInt8](repeating: number, count: byteCount - 15)
  }

  private static func send(
    _ sent: [[UInt8]], by network: any NetworkQueuePair, on card: RoleThread
  ) {
    card.run {
      var frames = NetworkFrames(headerByteCount: 12, maximumFrameByteCount: 65_553)
      for frame in sent {
        frames.begin()
        // SAFETY: a byte has no padding.
        unsafe frames.append(frame.span.bytes)
        frames.finish()
      }
      network.send(&frames)
    }
  }

  /// Frames of ours that come in, with their headers, until there are so many; nil when the link
  /// changes before.
  private static func receive(
    _ count: Int, by network: TapNetwork, on card: RoleThread
  ) -> [[UInt8]]? {
    card.run {
      var seen: [[UInt8]] = []
      while seen.count < count {
        let reception = network.receive { frames in
          while let frame = frames.withFirst({ bytes in
            (0..<bytes.byteCount).map { bytes.loadLE(at: $0, as: UInt8.self) }
          }) {
            if frame[24] == 0x88, frame[25] == 0xB5 { seen.append(frame) }
            frames.removeFirst()
          }
        }
        guard case .frames = reception else { return nil }
      }
      return seen
    }
  }

  private static let policy: SandboxPolicy = {
    var policy = SandboxPolicy()
    policy.hasNetwork = true
    return policy
  }()

  private static func card() -> RoleThread { RoleThread(.network, policy: policy) }

  @Test("what goes out comes out of the interface, and what goes in there comes in")
  func bothWays() throws {
    let tap = try HostTap()
    let network = try TapNetwork(name: tap.name)
    let host = try tap.listen()
    let card = Self.card()
    #expect(network.mtu == 1500 && network.hasLink && network.headerByteCount == 12)
    #expect(network.offloads == [.checksum, .tcp4, .tcp6, .ecn])
    network.start()
    card.run { network.setReceiveOffloads([.checksum, .tcp4]) }
    let sent = (1...100).map { Self.frame(UInt8($0), byteCount: 60 + 14 * $0) }
    Self.send(sent, by: network, on: card)
    for frame in sent { #expect(host.read() == frame) }
    let put = (1...100).map { Self.frame(UInt8($0), byteCount: 60 + 14 * $0) }
    for frame in put { host.write(frame) }
    let seen = try #require(Self.receive(100, by: network, on: card))
    #expect(seen.map { Array($0.dropFirst(12)) } == put)
    let hasPlainHeaders = seen.allSatisfy { $0[..<10].allSatisfy { $0 == 0 } }
    #expect(hasPlainHeaders)
    let counts = network.counts
    #expect(
      counts.sentFrames == 100 && counts.sentBytes == sent.reduce(0) { $0 + UInt64($1.count) })
    // The kernel's own are among them.
    #expect(counts.receivedFrames >= 100)
    network.stop()
  }

  @Test("pulled and plugged in by the host")
  func pulled() throws {
    let tap = try HostTap()
    let network = try TapNetwork(name: tap.name)
    let host = try tap.listen()
    let card = Self.card()
    network.start()
    network.isPlugged = false
    #expect(Self.receive(1, by: network, on: card) == nil && !network.hasLink)
    Self.send([Self.frame(1)], by: network, on: card)
    network.isPlugged = true
    #expect(Self.receive(1, by: network, on: card) == nil && network.hasLink)
    Self.send([Self.frame(2)], by: network, on: card)
    #expect(host.read() == Self.frame(2))
    #expect(network.counts.sentFrames == 1)
    network.stop()
  }

  @Test("a device that is removed takes the link down")
  func removed() throws {
    let tap = try HostTap()
    let gone = Recorder<Bool>()
    let network = try TapNetwork(name: tap.name) { gone.append(true) }
    let card = Self.card()
    network.start()
    tap.remove()
    #expect(Self.receive(1, by: network, on: card) == nil && !network.hasLink)
    #expect(gone.values == [true])
    Self.send([Self.frame(1)], by: network, on: card)
    network.stop()
    #expect(Self.receive(1, by: network, on: card) == nil)
  }

  @Test("what is none is named, with what to do")
  func failures() throws {
    let tap = try HostTap()
    let missing = #expect(throws: TapNetwork.Failure.self) { try TapNetwork(name: "no-such-tap") }
    #expect(missing == .missing(name: "no-such-tap"))
    #expect(
      missing?.description == "there is no network interface no-such-tap; make it: ip tuntap add"
        + " no-such-tap mode tap user $USER && ip link set no-such-tap up")
    #expect(throws: TapNetwork.Failure.otherKind(name: "lo")) { try TapNetwork(name: "lo") }
    let first = try TapNetwork(name: tap.name)
    #expect(throws: TapNetwork.Failure.inUse(name: tap.name)) { try TapNetwork(name: tap.name) }
    withExtendedLifetime(first) {}
  }

  @Test("a device that was made for several queues takes one")
  func oneOfSeveralQueues() throws {
    let tap = try HostTap(options: ["multi_queue"])
    let network = try TapNetwork(name: tap.name)
    let host = try tap.listen()
    let card = Self.card()
    network.start()
    #expect(network.queuePairs.count == 1)
    Self.send([Self.frame(7)], by: network, on: card)
    #expect(host.read() == Self.frame(7))
    network.stop()
  }

  // MARK: Several queues

  private static let connectionCount: UInt16 = 64

  /// A datagram of one of many connections, which the kernel spreads over queues by their ports.
  private static func datagram(_ port: UInt16) -> [UInt8] {
    let data = [UInt8](repeating: 0xDA, count: 32)
    var packet: [UInt8] = [0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2]
    packet += [UInt8(port >> 8), UInt8(truncatingIfNeeded: port), 0x27, 0x0F, 0, 40, 0, 0]
    return [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0] + packet + data
  }

  /// Runs all pairs' receivers until so many datagrams have come, then stops the network.
  ///
  /// - Returns: the ports of those that came by each pair.
  private static func receiveDatagrams(_ count: Int, by network: TapNetwork) -> [[UInt16]] {
    let seen = network.queuePairs.map { _ in Recorder<UInt16>() }
    TestThreads.run(
      network.queuePairs.enumerated().map { index, pair in
        {
          ThreadFilter.enter(.network, policy)
          while case .frames = pair.receive({ frames in
            while let frame = frames.withFirst({ bytes in
              (0..<bytes.byteCount).map { bytes.loadLE(at: $0, as: UInt8.self) }
            }) {
              // Behind the header: IPv4 and UDP to our port.
              if frame[24] == 8, frame[25] == 0, frame[48] == 0x27, frame[49] == 0x0F {
                seen[index].append(UInt16(frame[46]) << 8 | UInt16(frame[47]))
              }
              frames.removeFirst()
            }
          }) {}
        }
      } + [
        {
          try? waitUntil { seen.reduce(0) { $0 + $1.values.count } >= count }
          network.stop()
        }
      ])
    return seen.map(\.values)
  }

  @Test("by several queues frames come as the kernel spreads them, and by one where one is used")
  func severalQueues() throws {
    let tap = try HostTap(options: ["multi_queue"])
    let network = try TapNetwork(name: tap.name, queuePairCount: 3)
    let host = try tap.listen(0x0800)
    let card = Self.card()
    let ports = (1...Self.connectionCount).map { $0 + 1000 }
    #expect(network.queuePairs.count == 3 && tap.queueCount == 1)
    for usedCount in [3, 1, 2] {
      network.start()
      #expect(tap.queueCount == 1, "after the start")
      // By way of all of them, so that some are left.
      card.run { network.setQueuePairCount(3) }
      card.run { network.setQueuePairCount(usedCount) }
      #expect(tap.queueCount == usedCount)
      for port in ports { host.write(Self.datagram(port)) }
      let seen = Self.receiveDatagrams(ports.count, by: network)
      #expect(seen.flatMap { $0 }.sorted() == ports)
      for (index, ports) in seen.enumerated() {
        #expect(ports.isEmpty == (index >= usedCount), "\(seen.map(\.count))")
      }
      #expect(network.hasLink)
    }
    #expect(network.counts.receivedFrames >= 3 * UInt64(Self.connectionCount))
  }

  @Test("frames go out of every queue, also of one that is detached")
  func sendBySeveralQueues() throws {
    let tap = try HostTap(options: ["multi_queue"])
    let network = try TapNetwork(name: tap.name, queuePairCount: 2)
    let host = try tap.listen()
    let card = Self.card()
    network.start()
    for usedCount in [1, 2, 1] {
      card.run { network.setQueuePairCount(usedCount) }
      for (index, pair) in network.queuePairs.enumerated() {
        let sent = (1...10).map { Self.frame(UInt8(10 * index + $0)) }
        Self.send(sent, by: pair, on: card)
        for frame in sent { #expect(host.read() == frame, "by \(index) of \(usedCount)") }
      }
    }
    #expect(network.counts.sentFrames == 60)
    network.stop()
  }

  @Test("a device with several queues that is removed takes the link down once")
  func removedWithSeveralQueues() throws {
    let tap = try HostTap(options: ["multi_queue"])
    let gone = Recorder<Bool>()
    let network = try TapNetwork(name: tap.name, queuePairCount: 3) { gone.append(true) }
    let card = Self.card()
    network.start()
    card.run { network.setQueuePairCount(2) }
    tap.remove()
    let changes = Recorder<Int>()
    TestThreads.run(
      network.queuePairs.enumerated().map { index, pair in
        {
          ThreadFilter.enter(.network, Self.policy)
          while true {
            switch pair.receive({ $0.removeAll() }) {
            case .frames: continue
            case .linkChanged: changes.append(index)
            case .stopped: return
            }
          }
        }
      } + [
        {
          try? waitUntil { !changes.values.isEmpty }
          network.stop()
        }
      ])
    #expect(changes.values == [0] && gone.values == [true] && !network.hasLink)
    card.run { network.setQueuePairCount(3) }
    for pair in network.queuePairs { Self.send([Self.frame(1)], by: pair, on: card) }
    #expect(network.counts.sentFrames == 0)
  }

  @Test("a device of one queue has one, however many are asked for")
  func oneQueue() throws {
    let tap = try HostTap()
    let network = try TapNetwork(name: tap.name, queuePairCount: 4)
    #expect(network.queuePairs.count == 1)
    network.start()
    network.setQueuePairCount(1)
    #expect(tap.queueCount == 1)
    network.stop()
  }
}

/// A persistent tap device, removed with this object.
private final class HostTap {
  static let isPossible: Bool = {
    guard unsafe access("/dev/net/tun", R_OK | W_OK) == 0, let tap = try? HostTap() else {
      return false
    }
    tap.remove()
    return true
  }()

  struct Failure: Error {}

  let name = "vmm\(UInt32.random(in: 0...UInt32.max))"

  init(options: [String] = []) throws {
    guard Self.ip(["tuntap", "add", name, "mode", "tap"] + options),
      Self.ip(["link", "set", name, "up"])
    else { throw Failure() }
  }

  deinit { remove() }

  func remove() { _ = Self.ip(["link", "delete", name]) }

  /// Queues that are attached: the interface has as many to send by.
  var queueCount: Int {
    let names = try? FileManager.default.contentsOfDirectory(
      atPath: "/sys/class/net/\(name)/queues")
    return names?.filter { $0.hasPrefix("tx-") }.count ?? 0
  }

  private static func ip(_ arguments: [String]) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["ip"] + arguments
    process.environment = ["PATH": "/usr/sbin:/sbin:/usr/bin:/bin"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }

  /// What the host sees at the interface, and sends there, once somebody has opened the device: the
  /// kernel notices that a moment later, and drops what is sent before.
  func listen(_ type: UInt16 = 0x88B5) throws -> HostSide {
    let state = "/sys/class/net/\(name)/operstate"
    try waitUntil { try String(contentsOfFile: state, encoding: .utf8) == "up\n" }
    return try HostSide(name, type)
  }
}

/// A packet socket of frames with one type.
private final class HostSide {
  private let socket: Int32

  init(_ name: String, _ type: UInt16) throws {
    // AF_PACKET and the type, big-endian.
    socket = Glibc.socket(17, Int32(SOCK_RAW.rawValue), Int32(type.bigEndian))
    guard socket >= 0 else { throw HostTap.Failure() }
    // struct sockaddr_ll: family, protocol, index.
    var address = [UInt8](repeating: 0, count: 20)
    address.storeLE(17 as UInt16, at: 0)
    address.storeBE(type, at: 2)
    let index = unsafe if_nametoindex(name)
    address.storeLE(index, at: 4)
    // SAFETY: the structure has its length and lives for the call.
    let result = unsafe address.withUnsafeBytes {
      unsafe bind(socket, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), 20)
    }
    guard result == 0 else { throw HostTap.Failure() }
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    let byteCount = socklen_t(MemoryLayout<timeval>.size)
    // SAFETY: a local and its length.
    _ = unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, byteCount)
  }

  deinit { close(socket) }

  /// The next frame; empty if none comes.
  func read() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    // SAFETY: the array has as many bytes.
    let count = unsafe recv(socket, &bytes, bytes.count, 0)
    return Array(bytes[..<max(count, 0)])
  }

  func write(_ bytes: [UInt8]) {
    // SAFETY: the array has as many bytes.
    let count = unsafe Glibc.send(socket, bytes, bytes.count, 0)
    #expect(count == bytes.count)
  }
}
