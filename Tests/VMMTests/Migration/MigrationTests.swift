import Devices
import Glibc
import GuestMemory
import HostSystem
import MachineSpecification
import TestSupport
import Testing
import ZeroTracker

@testable import VMM

/// Machines that move while they write: what arrives is what was there.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct MigrationTests {
  /// What became of a machine on the other side.
  private enum Arrival: Sendable {
    case machine(MovingMachine, contents: [UInt8])
    case failed(String)
  }

  /// Becomes the machine that comes over a socket; it does not run yet.
  private func receive(
    _ descriptor: Int32, _ source: WrittenPageSourceKind = .populated,
    _ backing: MemoryBacking = .anonymous, grows: Bool = false,
    prepare: @escaping @Sendable (MigrationReceiver) -> Void = { _ in }
  ) async -> Arrival {
    await onThread {
      do {
        let receiver = try MigrationReceiver(descriptor)
        prepare(receiver)
        do {
          let moving = try MovingMachine(
            source, backing, grows: grows, restoration: MachineRestoration(receivedBy: receiver))
          try receiver.commit()
          return .machine(moving, contents: try moving.contents())
        } catch {
          receiver.refuse("\(error)")
          return .failed("\(error)")
        }
      } catch {
        return .failed("\(error)")
      }
    }
  }

  /// Moves a machine that runs; the one that arrives has what the other had, byte for byte.
  private func move(
    _ moving: MovingMachine, over sockets: SocketPair,
    to source: WrittenPageSourceKind = .populated, _ backing: MemoryBacking = .anonymous,
    settings: MigrationSettings = MigrationSettings()
  ) async throws -> (MovingMachine, MigrationReport) {
    let grows = moving.machine.memory.layout.growth != nil
    async let arrival = receive(sockets.far, source, backing, grows: grows)
    let result = await onThread {
      Result { () throws(MigrationError) in
        try moving.migrate(over: sockets.near, settings) { hooks in
          hooks.onProgress = { moving.write(inRound: UInt64($0.round)) }
        }
      }
    }
    let report = try result.get()
    guard case .machine(let arrived, let contents) = await arrival else {
      throw MigrationError.machine("\(await arrival)")
    }
    let before = try moving.contents()
    // Not by ==, which takes seconds in a debug build.
    // SAFETY: both live for the call.
    #expect(contents.count == before.count)
    let isSame = unsafe memcmp(contents, before, min(contents.count, before.count)) == 0
    if !isSame {
      let pages = stride(from: 0, to: before.count, by: 4096).filter {
        before[$0..<$0 + 4096] != contents[$0..<$0 + 4096]
      }
      Issue.record("pages that differ: \(pages.map { $0 / 4096 })")
    }
    return (arrived, report)
  }

  @Test(arguments: Host.sources, [MemoryBacking.anonymous, .memfd])
  func arrivesWhole(source: WrittenPageSourceKind, backing: MemoryBacking) async throws {
    try await arrivesWhole(source, backing, grows: false)
  }

  /// What was written is in memory that was added; more can be added on the other side.
  @Test(arguments: Host.sources, [MemoryBacking.anonymous, .memfd])
  func arrivesGrown(source: WrittenPageSourceKind, backing: MemoryBacking) async throws {
    try await arrivesWhole(source, backing, grows: true)
  }

  private func arrivesWhole(
    _ source: WrittenPageSourceKind, _ backing: MemoryBacking, grows: Bool
  ) async throws {
    let moving = try MovingMachine(source, backing, grows: grows)
    let end = moving.start()
    try moving.waitForCounting()
    var settings = MigrationSettings()
    // So that there are several rounds, as the guest never leaves less than that.
    settings.downtimeMilliseconds = 0
    settings.maximumRoundCount = 4
    let other = try #require(Host.sources.last { $0 != source } ?? Host.sources.last)
    let (arrived, report) = try await move(
      moving, over: try SocketPair(), to: other, backing, settings: settings)
    #expect(report.roundCount == 4 && report.zeroPageCount > 0, "\(report)")
    #expect(arrived.machine.memory.addedByteCount == moving.machine.memory.addedByteCount)
    if grows {
      _ = try arrived.machine.addMemory(byteCount: GuestMemoryLayout.growthUnit)
    }
    moving.control.end(with: .stopped)
    await end.value
    let secondEnd = arrived.start()
    try arrived.waitForCounting()
    #expect(try arrived.control.pause())
    try arrived.checkReports(after: "by \(other) after it came from \(source)")
    arrived.control.end(with: .stopped)
    await secondEnd.value
  }

  /// Back and forth; each of them goes on for a while.
  @Test func movesTwentyTimes() async throws {
    var last = try MovingMachine(.dirtyLog)
    for round in 0..<20 {
      let moving = last
      let end = moving.start()
      try moving.waitForCounting()
      let before = try moving.count()
      let source = Host.sources[round % Host.sources.count]
      let (arrived, _) = try await move(moving, over: try SocketPair(), to: source)
      #expect(try arrived.count() >= before)
      moving.control.end(with: .stopped)
      await end.value
      last = arrived
    }
  }

  /// A machine that stays reports what it did before, with the log that a migration has cleared;
  /// what was added has logs of its own.
  @Test(arguments: Host.sources, [false, true])
  func staysWhenItIsCancelled(source: WrittenPageSourceKind, grows: Bool) async throws {
    let moving = try MovingMachine(source, grows: grows)
    let end = moving.start()
    try moving.waitForCounting()
    for limit in [0, 1, 2] {
      let sockets = try SocketPair()
      async let arrival = receive(sockets.far, grows: grows)
      let rounds = Guarded(0)
      var settings = MigrationSettings()
      settings.downtimeMilliseconds = 0
      settings.maximumRoundCount = 1000
      let result = await onThread { [settings] in
        Result { () throws(MigrationError) in
          try moving.migrate(over: sockets.near, settings) { hooks in
            hooks.onProgress = { progress in
              // So that it does not move, however little the guest runs.
              moving.write(inRound: UInt64(progress.round))
              rounds.withLock { $0 = progress.round }
            }
            hooks.goesOn = { rounds.withLock { $0 } <= limit }
          }
        }
      }
      #expect(throws: MigrationError.cancelled) { try result.get() }
      guard case .failed = await arrival else {
        Issue.record("it is there, too")
        return
      }
      moving.control.resume()
      try moving.waitForCounting()
    }
    if grows { _ = try moving.machine.addMemory(byteCount: GuestMemoryLayout.growthUnit) }
    #expect(try moving.control.pause())
    try moving.checkReports(after: "by \(source) after it stayed")
    moving.control.end(with: .stopped)
    await end.value
  }

  @Test func aGuestThatIsTooBusyStays() async throws {
    let moving = try MovingMachine()
    let end = moving.start()
    try moving.waitForCounting()
    let sockets = try SocketPair()
    async let arrival = receive(sockets.far)
    var settings = MigrationSettings()
    settings.downtimeMilliseconds = 0
    settings.maximumRoundCount = 3
    settings.stopsAnyway = false
    let result = await onThread { [settings] in
      Result { () throws(MigrationError) in
        try moving.migrate(over: sockets.near, settings) { hooks in
          // The guest may not get to run in a round.
          hooks.onProgress = { moving.write(inRound: UInt64($0.round)) }
        }
      }
    }
    guard case .failure(.tooBusy) = result else {
      Issue.record("\(result)")
      return
    }
    _ = await arrival
    try moving.waitForCounting()
    moving.control.end(with: .stopped)
    await end.value
  }

  /// What the destination says when all is there reaches the source, which goes on.
  @Test func aRefusalAtTheEndLeavesTheMachine() async throws {
    let moving = try MovingMachine()
    let end = moving.start()
    try moving.waitForCounting()
    let sockets = try SocketPair()
    async let arrival = receive(sockets.far) { receiver in
      receiver.whenComplete { _ throws(MachineError) in
        throw .configuration("the disk is another one")
      }
    }
    let released = Guarded<[String]>([])
    let result = await onThread {
      Result { () throws(MigrationError) in
        try moving.migrate(over: sockets.near) { hooks in
          hooks.release = { released.withLock { $0.append("release") } }
          hooks.reclaim = {
            released.withLock { $0.append("reclaim") }
            return nil
          }
        }
      }
    }
    guard case .failure(.refused(let text)) = result else {
      Issue.record("\(result)")
      return
    }
    #expect(text.contains("the disk is another one"))
    #expect(released.withLock { $0 } == ["release", "reclaim"])
    _ = await arrival
    moving.control.resume()
    try moving.waitForCounting()
    moving.control.end(with: .stopped)
    await end.value
  }

  /// A connection that ends, or changes a byte, anywhere: there is never a machine on both sides,
  /// and the source goes on unless the destination does, or may.
  @Test func aBrokenConnectionLeavesOneMachine() async throws {
    var generator = SeededGenerator(seed: 0x3019)
    var last = try MovingMachine()
    var end = last.start()
    var failures = 0
    for round in 0..<40 {
      let moving = last
      try moving.waitForCounting()
      let damages = round % 4 == 3
      // Half of them near the beginning.
      let place =
        round % 2 == 0
        ? Int.random(in: 0..<2000, using: &generator)
        : Int.random(in: 0..<20 << 20, using: &generator)
      let (near, far) = (try SocketPair(), try SocketPair())
      let relay = Relay(from: near.far, to: far.near, place, damages: damages)
      async let relayed: Void = onThread { relay.run() }
      async let arrival = receive(far.far)
      let result = await onThread {
        Result { () throws(MigrationError) in try moving.migrate(over: near.near) }
      }
      relay.stop()
      await relayed
      switch (result, await arrival) {
      case (.success, .machine(let arrived, _)):
        // It came through: the one here has ended, whoever resumes it.
        moving.control.resume()
        await end.value
        last = arrived
        end = arrived.start()
        continue
      case (.failure, .failed): failures += 1
      case (.failure(.unknown), .machine): failures += 1
      case (let result, let arrival): Issue.record("\(place): \(result), \(arrival)")
      }
      moving.control.resume()
    }
    #expect(failures > 20, "\(failures) failed")
    try last.waitForCounting()
    last.control.end(with: .stopped)
    await end.value
  }
}

/// Hands bytes on in both directions until so many have come from the source; then it ends the
/// connection, or changes a byte.
private final class Relay: Sendable {
  private let near: Int32
  private let far: Int32
  private let place: Int
  private let damages: Bool
  private let stopped: Guarded<Bool>

  init(from near: Int32, to far: Int32, _ place: Int, damages: Bool) {
    (self.near, self.far, self.place, self.damages) = (near, far, place, damages)
    stopped = Guarded(false)
  }

  func stop() { stopped.withLock { $0 = true } }

  func run() {
    var count = 0
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    defer {
      shutdown(near, Int32(SHUT_RDWR))
      shutdown(far, Int32(SHUT_RDWR))
    }
    while !stopped.withLock({ $0 }) {
      var files = [near, far].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      // SAFETY: the array lives for the call.
      _ = unsafe poll(&files, 2, 50)
      for (file, other) in [(files[0], far), (files[1], near)] where file.revents != 0 {
        // SAFETY: the array, and its length.
        let result = unsafe recv(file.fd, &bytes, bytes.count, 0)
        guard result > 0 else { return }
        if file.fd == near {
          if place >= count, place < count + result {
            guard damages else { return }
            bytes[place - count] ^= 0x10
          }
          count += result
        }
        var sent = 0
        while sent < result {
          // SAFETY: the bytes from there on.
          let done = unsafe bytes.withUnsafeBytes {
            unsafe Glibc.send(
              other, $0.baseAddress! + sent, result - sent, Int32(MSG_NOSIGNAL))
          }
          guard done > 0 else { return }
          sent += done
        }
      }
    }
  }
}
