import ControlAPI
import DeviceKit
import Devices
import Glibc
import HostSystem
import KVM
import MachineSpecification
import Sandbox
import TestSupport
import Testing
import VMM

@testable import VMMCommand

/// The server of `--control` in this process, its thread under the filter that it has in the
/// program.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct ControlServerTests {
  private static let get = "GET /api/v1/vm.info HTTP/1.1\r\nHost: x\r\n\r\n"

  private let directory: TemporaryDirectory
  private let path: String
  private let run: ControlledRun
  private let listener: UnixListener
  private let server: ControlServer

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.path("s")
    run = ControlledRun(
      try ControlledRun.Parts(specification: MachineSpec(.program(file: "program"))))
    listener = try UnixListener(Array(path.utf8))
    server = try ControlServer(listener, run, userID: geteuid()) {
      var policy = SandboxPolicy()
      policy.servesControl = true
      ThreadFilter.enter(.control, policy)
    }
  }

  @Test func withoutAMachine() throws {
    defer { server.stop() }
    let info = try ControlAsker.value(path, .info)
    #expect(info["state"] == .text("Created"))
    #expect(info["config"] == MachineSpec(.program(file: "program")).value)
    #expect(try ControlAsker.value(path, .ping)["pid"] == .integer(Int64(getpid())))
    for route in [ControlRoute.counters, .metrics, .pause, .trim] {
      #expect(try ControlAsker.refusal(path, route).0 == 503)
    }
    for route in [ControlRoute.screenshot, .powerButton, .reboot, .cdrom] {
      #expect(try ControlAsker.refusal(path, route).0 == 409)
    }
    let size = JSONValue.members([("desired_balloon", .integer(0))])
    #expect(try ControlAsker.refusal(path, .resize, size).1.contains("--balloon"))
    #expect(try ControlAsker.ask(path, .resume).status == 204)
  }

  /// Requests that come at once are answered in their order, on one connection.
  @Test func pipelining() throws {
    defer { server.stop() }
    let client = try RawClient(path)
    let ping = "GET /api/v1/vmm.ping HTTP/1.1\r\nHost: x\r\n"
    client.send(
      Self.get + "PUT /api/v1/vm.resume HTTP/1.1\r\nHost: x\r\n\r\n"
        + "GET /api/v1/vm.counters HTTP/1.1\r\nHost: x\r\n\r\n" + ping + "\r\n" + ping
        + "Connection: close\r\n\r\n")
    var text = ""
    while case let more = client.read(), !more.isEmpty {
      text += String(decoding: more, as: UTF8.self)
    }
    #expect(
      text.ranges(of: "HTTP/1.1 ").map { text[$0.upperBound...].prefix(3) } == [
        "200", "204", "503", "200", "200",
      ])
  }

  @Test func nothingThatAClientSendsStopsIt() throws {
    defer { server.stop() }
    for text in ["\u{0}\u{1}\n", "GET / HTTP/9.9\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n\r\n"] {
      let client = try RawClient(path)
      client.send(text)
      #expect(client.read(to: "}").hasPrefix("HTTP/1.1 "))
    }
    let head = try RawClient(path)
    head.send("GET / HTTP/1.1\r\n" + String(repeating: "X: y\r\n", count: 10_000))
    #expect(head.read(to: "}").hasPrefix("HTTP/1.1 431 "))
    #expect(try ControlAsker.ask(path, .info).status == 200)
  }

  /// A hundred clients at once, half of them hostile: each of the others gets all its answers.
  @Test func aHundredClients() throws {
    let counters = Shared()
    TestThreads.run(
      (0..<100).map { index in
        { [path] in
          do {
            if index % 2 == 0 {
              try counters.attack(path, index)
            } else {
              try counters.ask(path)
            }
          } catch {
            counters.failures.withLock { $0.append("client \(index): \(error)") }
          }
        }
      })
    #expect(counters.failures.withLock { $0 } == [])
    #expect(counters.answers.withLock { $0 } == 50 * 20)
    #expect(try ControlAsker.ask(path, .info).status == 200)
    server.stop()
  }

  /// What the clients share.
  private final class Shared: Sendable {
    let answers = Guarded(0)
    let failures = Guarded<[String]>([])
    let hostile = Guarded<[RawClient]>([])

    /// Each of a kind of its own, and its connection stays.
    func attack(_ path: String, _ index: Int) throws {
      var random = SeededGenerator(seed: UInt64(index))
      let client = try RawClient(path)
      switch index / 2 % 5 {
      case 0: client.send((0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) })
      case 1: client.send("GET /api/v1/vm.info HTTP/1.1\r\nHost:")
      case 2: for _ in 0..<2000 { client.send(ControlServerTests.get) }
      case 3: client.send("GET / HTTP/1.1\r\nX: " + String(repeating: "y", count: 100_000))
      default: client.send("GET /api/v1/vm.events HTTP/1.1\r\nHost: x\r\n\r\n")
      }
      hostile.withLock { $0.append(client) }
    }

    func ask(_ path: String) throws {
      for _ in 0..<20 {
        let (status, _) = try ControlAsker.ask(path, .info)
        guard status == 200 else { continue }
        answers.withLock { $0 += 1 }
      }
    }
  }

  /// The first lines are lost for a client that does not read, and it is told how many; the others
  /// miss nothing.
  @Test func aSlowReaderLosesTheOldest() throws {
    let (slow, quick) = (try RawClient(path), try RawClient(path))
    for client in [slow, quick] {
      client.send("GET /api/v1/vm.events HTTP/1.1\r\nHost: x\r\n\r\n")
    }
    #expect(slow.read(to: "subscribed").contains(#""state":"Created""#))
    #expect(quick.read(to: "subscribed").contains("chunked"))
    // Much more than sockets and backlogs hold.
    let text = String(repeating: "x", count: 1000)
    for index in 0..<4000 {
      run.events.post(
        ControlEvent(.crashed, [("n", .integer(Int64(index))), ("message", .text(text))]))
      #expect(quick.read(to: "\"n\":\(index),").contains("\"n\":\(index),"))
    }
    let all = slow.read(to: "\"n\":3999,")
    let numbers = all.ranges(of: "\"n\":").count
    let lost = all.ranges(of: #""event":"lost","properties":{"count":"#).reduce(0) { sum, range in
      sum + (Int(all[range.upperBound...].prefix { $0.isNumber }) ?? 0)
    }
    #expect(lost > 0)
    #expect(lost + numbers == 4000)
    server.stop()
  }

  /// More than there is room for: who has said nothing for the longest time goes.
  @Test func whoSaysNothingMakesRoom() throws {
    let silent = try (0..<40).map { _ in try RawClient(path) }
    #expect(try ControlAsker.ask(path, .info).status == 200)
    #expect(silent[0].read().isEmpty)
    server.stop()
  }

  @Test func streamsAreBounded() throws {
    let clients = try (0..<ControlServer.streamLimit).map { _ in
      let client = try RawClient(path)
      client.send("GET /api/v1/vm.events HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(client.read(to: "subscribed").contains("subscribed"))
      return client
    }
    #expect(try ControlAsker.refusal(path, .events).0 == 503)
    #expect(try ControlAsker.ask(path, .info).status == 200)
    server.stop()
    for client in clients { #expect(client.read(to: "0\r\n\r\n").hasSuffix("0\r\n\r\n")) }
  }

  @Test func theEndIsTold() throws {
    let client = try RawClient(path)
    client.send("GET /api/v1/vm.events HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = client.read(to: "subscribed")
    run.finish()
    server.stop()
    let text = client.read(to: "0\r\n\r\n")
    #expect(text.contains(#""event":"shutdown""#))
    #expect(text.hasSuffix("\r\n0\r\n\r\n"))
    #expect(client.read().isEmpty)
  }

  @Test func answersAreCountedAndTold() throws {
    let client = try RawClient(path)
    client.send("GET /api/v1/vm.events HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = client.read(to: "subscribed")
    var record = HypercallRecord(
      vcpuID: 0, code: 0x8002, name: "HvExtCallGetBootZeroedMemory (0x8002)", input: 0x8002,
      status: 0)
    record.ranges = [
      ReportedRange(startPage: 1, pageCount: 2), ReportedRange(startPage: 9, pageCount: 3),
    ]
    run.note(record)
    #expect(client.read(to: "reported").contains(#""properties":{"ranges":2,"pages":5}"#))
    // A guest may try all codes; they are one.
    for code in 0..<1000 as Range<UInt16> {
      run.note(
        HypercallRecord(vcpuID: 0, code: code, name: "0x\(code)", input: 0, status: 2))
    }
    #expect(run.hypercalls.counts.map(\.count) == [1, 1000])
    #expect(run.hypercalls.counts.map(\.failures) == [0, 1000])
    server.stop()
  }

  // MARK: With a machine

  /// Writes to a port again and again: mov al, 0; out 0xE8, al; jmp.
  private static let load: [UInt8] = [0xB0, 0x00, 0xE6, 0xE8, 0xEB, 0xFC]

  /// A machine that runs on a thread of its own until it is told to end.
  ///
  /// - Parameter onWrite: what its port does.
  private func withMachine(
    onWrite: @escaping @Sendable () -> Void = {}, _ body: (Machine) throws -> Void
  ) throws {
    let control = MachineControl()
    run.begin(quit: { control.end(with: .stopped) })
    try run.prepare(control)
    var configuration = MachineConfiguration(program: Self.load, memoryByteCount: 4 << 20)
    configuration.portDevices = [
      (PortRange(start: 0xE8, count: 1), SignalPort { _ in onWrite() })
    ]
    let machine = try Machine(configuration, control: control)
    run.begin(machine)
    let ended = TestSemaphore()
    TestThreads.start {
      _ = machine.run()
      ended.signal()
    }
    defer {
      control.end(with: .stopped)
      ended.wait()
      run.end(.stopped)
      run.finish()
      server.stop()
    }
    try waitUntil { machine.exitCounts[0][ExitKind.portWrite.rawValue] > 0 }
    try body(machine)
  }

  @Test(.enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"))
  func pausesUnderLoad() throws {
    try withMachine { machine in
      func count() -> UInt64 { machine.exitCounts[0][ExitKind.portWrite.rawValue] }
      for round in 0..<500 {
        #expect(try ControlAsker.ask(path, .pause).status == 204)
        let paused = count()
        #expect(try ControlAsker.value(path, .info)["state"] == .text("Paused"))
        #expect(count() == paused, "round \(round)")
        #expect(try ControlAsker.ask(path, .resume).status == 204)
        try waitUntil { count() > paused }
      }
      #expect(try ControlAsker.value(path, .info)["state"] == .text("Running"))
    }
  }

  /// A pause that waits for a vCPU in a device keeps nobody else waiting, and a resume ends it.
  @Test(.enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"))
  func aPauseThatWaits() throws {
    let (entered, mayLeave) = (TestSemaphore(), TestSemaphore())
    let onWrite: @Sendable () -> Void = {
      entered.signal()
      mayLeave.wait()
      mayLeave.signal()
    }
    try withMachine(onWrite: onWrite) { _ in
      // Whatever fails here, the machine ends.
      defer { mayLeave.signal() }
      entered.wait()
      let waiting = try RawClient(path)
      waiting.send("PUT /api/v1/vm.pause HTTP/1.1\r\nHost: x\r\n\r\n")
      try waitUntil { try ControlAsker.value(path, .info)["state"] == .text("Paused") }
      #expect(try ControlAsker.ask(path, .metrics).status == 200)
      #expect(try ControlAsker.ask(path, .resume).status == 204)
      #expect(waiting.read(to: "\r\n\r\n").hasPrefix("HTTP/1.1 204 "))
      #expect(try ControlAsker.value(path, .info)["state"] == .text("Running"))
    }
  }

  /// Twice the same is once the same, and told once.
  @Test(.enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"))
  func eventsOfPauses() throws {
    let client = try RawClient(path)
    client.send("GET /api/v1/vm.events HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = client.read(to: "subscribed")
    try withMachine { _ in
      for route in [ControlRoute.pause, .pause, .resume, .resume, .pause, .shutdown] {
        let status = try ControlAsker.ask(path, route).status
        #expect(status == 204)
      }
    }
    let text = client.read(to: "0\r\n\r\n")
    let names = text.ranges(of: #""event":""#).map { range in
      String(text[range.upperBound...].prefix { $0 != "\"" })
    }
    #expect(names == ["booted", "paused", "resumed", "paused", "shutdown"])
  }

  @Test(.enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"))
  func manyPauseAndResumeAtOnce() throws {
    try withMachine { machine in
      let failures = Failures()
      TestThreads.run(
        (0..<8).map { index in
          { [path] in
            for _ in 0..<50 {
              let route = index % 2 == 0 ? ControlRoute.pause : .resume
              let status = (try? ControlAsker.ask(path, route).status) ?? 0
              if status != 204 { failures.statuses.withLock { $0.append(status) } }
            }
          }
        })
      #expect(failures.statuses.withLock { $0 } == [])
      // Whatever came last, the next word counts.
      #expect(try ControlAsker.ask(path, .resume).status == 204)
      let before = machine.exitCounts[0][ExitKind.portWrite.rawValue]
      try waitUntil { machine.exitCounts[0][ExitKind.portWrite.rawValue] > before }
      let value = try ControlAsker.value(path, .counters)
      guard case .array(let vcpus)? = value["vcpus"] else {
        Issue.record("no vCPUs")
        return
      }
      #expect(vcpus.count == 1)
      let metrics = try ControlAsker.ask(path, .metrics)
      #expect(metrics.status == 200)
      #expect(
        String(decoding: metrics.body, as: UTF8.self)
          .contains(#"vmm_memory_bytes{class="ram"} 4194304"#))
    }
  }

  private final class Failures: Sendable {
    let statuses = Guarded<[Int]>([])
  }
}
