import ControlAPI
import FoundationEssentials
import Glibc
import GuestMemory
import HostSystem
import KVM
import MachineSpecification
import TestSupport
import Testing
import VMM

@testable import VMMCommand

/// `--control` of whole runs, in their sandbox.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct ControlTests {
  private static let curl = "/usr/bin/curl"
  private static let hasCurl = unsafe access(curl, X_OK) == 0

  private let directory: TemporaryDirectory
  private let output: TestPipe
  private let messages: TestPipe
  private var path: String { directory.path("s") }

  init() throws {
    directory = try TemporaryDirectory()
    output = try TestPipe()
    messages = try TestPipe()
  }

  /// A PC whose guest prints `!` and then does what it likes.
  private func runPC(
    _ options: String = "", _ code: [UInt8] = TestGuest.print("!") + TestGuest.wait
  ) throws -> Program {
    try directory.write(TestGuest.kernel(code), to: "kernel")
    let program = try Program(
      "run --kernel \(directory.path("kernel")) --memory 64M --control unix:\(path) \(options)",
      output: .descriptor(output.writer), error: .descriptor(messages.writer))
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    return program
  }

  private func shutDown(_ program: Program) throws {
    #expect(try ControlAsker.ask(path, .shutdown).status == 204)
    #expect(program.endsByItself())
    #expect(program.wait() == .status(0))
    #expect(unsafe access(path, F_OK) != 0, "the socket's file is still there")
    let said = String(decoding: readAll(from: messages.reader), as: UTF8.self)
    #expect(said.contains("vmm-run: control: unix:\(path)\n"))
    #expect(!said.contains("forbids"))
  }

  @Test func aPCWithEverything() throws {
    for name in ["a", "b", "disk"] {
      try directory.write([UInt8](repeating: 7, count: 1 << 20), to: name)
    }
    let program = try runPC(
      "--cpus 2 --balloon --display 1280x800 --disk \(directory.path("disk"))"
        + " --cdrom \(directory.path("a")),next=\(directory.path("b"))")
    let info = try ControlAsker.value(path, .info)
    #expect(info["state"] == .text("Running"))
    #expect(info["pid"] == .integer(Int64(program.processID)))
    #expect(info["config"]?["vcpus"] == .integer(2))

    let next = try ControlAsker.value(path, .cdrom)
    #expect(next["medium"] == .text(directory.path("b")))
    let none = try ControlAsker.value(
      path, .cdrom, .members([("drive", .integer(0)), ("medium", .null)]))
    #expect(none["medium"] == .null)
    let named = JSONValue.members([("medium", .text(directory.path("a")))])
    #expect(try ControlAsker.value(path, .cdrom, named)["is_awaited"] == .flag(false))
    let stranger = JSONValue.members([("medium", .text("/etc/passwd"))])
    #expect(try ControlAsker.refusal(path, .cdrom, stranger).0 == 409)
    let drive = JSONValue.members([("drive", .integer(7))])
    #expect(try ControlAsker.refusal(path, .cdrom, drive).1.contains("no drive cdrom7"))

    let size = JSONValue.members([("desired_balloon", .integer(8 << 20))])
    #expect(try ControlAsker.ask(path, .resize, size).status == 204)
    let all = JSONValue.members([("desired_balloon", .integer(64 << 20))])
    #expect(try ControlAsker.refusal(path, .resize, all).0 == 400)

    if HugePageTrimmer.obstacle == nil {
      let trimmed = try ControlAsker.value(path, .trim)
      guard case .integer(let byteCount)? = trimmed["given_back_bytes"] else {
        Issue.record("\(trimmed)")
        return
      }
      #expect(byteCount % 4096 == 0)
      let counters = try ControlAsker.value(path, .counters)
      #expect(counters["trim"]?["given_back_bytes"] == .integer(byteCount))
    } else {
      #expect(try ControlAsker.refusal(path, .trim).0 == 409)
    }

    #expect(try ControlAsker.refusal(path, .screenshot).1 == "the guest shows no picture")
    #expect(try ControlAsker.refusal(path, .powerButton).0 == 409)

    let counters = try ControlAsker.value(path, .counters)
    #expect(counters["memory"]?["ram_bytes"] == .integer(64 << 20))
    #expect(counters["balloon"]?["target_bytes"] == .integer(8 << 20))
    guard case .array(let disks)? = counters["disks"] else {
      Issue.record("no disks")
      return
    }
    #expect(disks.first?["name"] == .text("disk0"))
    let metrics = String(decoding: try ControlAsker.ask(path, .metrics).body, as: UTF8.self)
    #expect(metrics.contains(#"vmm_vcpu_exits_total{vcpu="1",kind="port_write"} 0"#))
    #expect(metrics.contains("vmm_balloon_target_bytes 8388608\n"))
    #expect(metrics.contains(#"vmm_memory_bytes{class="ballooned"} 0"#))
    try shutDown(program)
  }

  @Test func aPicture() throws {
    let program = try runPC("--display 1280x800", ViewerTests.guest)
    let (status, picture) = try ControlAsker.ask(path, .screenshot)
    #expect(status == 200)
    #expect(ViewerTests.isPicture(picture, [0x33, 0x66, 0x99]))
    let file = directory.path("png")
    #expect(try ctl("ctl \(path) screenshot --output \(file)") == (0, ""))
    #expect(try Array(Data(contentsOf: URL(filePath: file))) == picture)
    try shutDown(program)
  }

  /// The other end of the cable is a socket of this test.
  @Test func aCable() throws {
    let listener = try UnixListener(Array(directory.path("net").utf8))
    defer { listener.removeFile() }
    let program = try runPC("--net passt=\(directory.path("net"))")
    let first = JSONValue.members([("nic", .integer(0)), ("link", .flag(false))])
    func hasLink() throws -> JSONValue? {
      guard case .array(let cards)? = try ControlAsker.value(path, .counters)["networks"] else {
        return nil
      }
      return cards.first?["has_link"]
    }
    #expect(try hasLink() == .flag(true))
    #expect(try ControlAsker.ask(path, .nic, first).status == 204)
    #expect(try hasLink() == .flag(false))
    #expect(try ctl("ctl \(path) nic 0 up") == (0, ""))
    #expect(try hasLink() == .flag(true))
    #expect(try ctl("ctl \(path) nic 1 up").text.contains("there is no nic1"))
    try shutDown(program)
  }

  /// The machine that comes after a reset is asked as the one before, and streams go on.
  @Test func resets() throws {
    let program = try runPC()
    let client = try RawClient(path)
    client.send("GET /api/v1/vm.events HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = client.read(to: "subscribed")
    for round in 1...3 {
      #expect(try ControlAsker.ask(path, .pause).status == 204)
      #expect(try ControlAsker.ask(path, .reboot).status == 204)
      #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
      #expect(try ControlAsker.value(path, .info)["state"] == .text("Running"))
      #expect(try ControlAsker.value(path, .counters)["resets"] == .integer(Int64(round)))
    }
    try shutDown(program)
    let text = client.read(to: "0\r\n\r\n")
    let names = text.ranges(of: #""event":""#).map { range in
      String(text[range.upperBound...].prefix { $0 != "\"" })
    }
    let round = ["paused", "reset", "booted"]
    let expected = round + round + round + ["shutdown"]
    // Who serves clients may hear of the first life only after it has heard of the client.
    #expect(names == expected || names == ["booted"] + expected)
  }

  private final class ResetCount: Sendable {
    let count = Guarded<Int64>(0)
  }

  /// There is address space for one machine's memory and not for two: a client that looks at one
  /// when it ends must not keep the next from being made.
  @Test func whoLooksKeepsNoMachine() throws {
    try directory.write(TestGuest.kernel(TestGuest.print("!") + TestGuest.reset), to: "kernel")
    let program = try Program(
      [
        "-c",
        "ulimit -v 9000000; exec \"$0\" run --kernel \(directory.path("kernel")) --memory 6G"
          + " --control unix:\(path)", VMMCommandTests.Program.path ?? "",
      ].map { Array($0.utf8) }, executable: "/bin/sh",
      output: .descriptor(output.writer), error: .descriptor(messages.writer))
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    let seen = ResetCount()
    TestThreads.run(
      (0..<4).map { _ in
        { [path] in
          // Between two machines there is nothing to look at.
          for _ in 0..<50_000 where seen.count.withLock({ $0 < 50 }) {
            guard let (status, bytes) = try? ControlAsker.ask(path, .counters), status == 200,
              case .integer(let count)? = try? JSONParser.parse(bytes)["resets"]
            else { continue }
            seen.count.withLock { $0 = max($0, count) }
          }
        }
      })
    let count = seen.count.withLock { $0 }
    guard count >= 50 else {
      kill(program.processID, SIGKILL)
      program.wait()
      let said = String(decoding: readAll(from: messages.reader), as: UTF8.self)
      Issue.record("\(count) resets were seen: \(said)")
      return
    }
    #expect(try ControlAsker.ask(path, .shutdown).status == 204)
    #expect(program.endsByItself() && program.wait() == .status(0))
  }

  /// What a guest's own reset comes to: out 0xCF9.
  @Test func aGuestThatResetsItself() throws {
    // mov dx, 0xCF9; mov al, 6; out dx, al
    let program = try runPC(
      "", TestGuest.print("!") + [0x66, 0xBA, 0xF9, 0x0C, 0xB0, 0x06, 0xEE] + TestGuest.wait)
    let answers = try (0..<200).map { _ in try ControlAsker.ask(path, .info).status }
    #expect(answers == [Int](repeating: 200, count: 200))
    try waitUntil {
      let (status, bytes) = try ControlAsker.ask(path, .counters)
      guard status == 200, case .integer(let resets)? = try JSONParser.parse(bytes)["resets"]
      else { return false }
      return resets >= 3
    }
    #expect(try ControlAsker.ask(path, .shutdown).status == 204)
    #expect(program.endsByItself() && program.wait() == .status(0))
  }

  @Test func hypercallsAreCounted() throws {
    try directory.write(TestGuest.hypercalls, to: "program")
    let program = try Program(
      "run --program \(directory.path("program")) --hyperv userspace --control unix:\(path)",
      error: .descriptor(messages.writer))
    try waitUntil {
      guard let (status, bytes) = try? ControlAsker.ask(path, .counters), status == 200 else {
        return false
      }
      return String(decoding: bytes, as: UTF8.self).contains("HvExtCallQueryCapabilities")
    }
    try shutDown(program)
  }

  // MARK: Hostile clients

  /// What a hundred clients share.
  private final class Storm: Sendable {
    let problems = Guarded<[String]>([])
    let kept = Guarded<[RawClient]>([])

    /// One connection after the other, of all kinds; most of them stay.
    func attack(_ path: String, seed: Int) throws {
      var random = SeededGenerator(seed: UInt64(seed))
      func request(_ method: String, _ name: String) -> String {
        "\(method) /api/v1/\(name) HTTP/1.1\r\nHost: x\r\n\r\n"
      }
      for _ in 0..<10 {
        let client = try RawClient(path)
        switch Int.random(in: 0..<7, using: &random) {
        case 0: client.send((0..<3000).map { _ in UInt8.random(in: 0...255, using: &random) })
        case 1: client.send("GET /api/v1/vm.info HTTP/1.1\r\nHo")
        case 2: client.send(String(repeating: request("GET", "vm.metrics"), count: 200))
        case 3: client.send("GET / HTTP/1.1\r\nA: " + String(repeating: "b", count: 60_000))
        case 4: client.send(request("GET", "vm.events"))
        case 5: client.send(request("PUT", "vm.pause") + request("PUT", "vm.resume"))
        default: break
        }
        if Bool.random(using: &random) { kept.withLock { $0.append(client) } }
      }
    }

    /// Once more, twice at most, where it was this client that made room: of a hundred threads on
    /// two processors one may get no time between connecting and asking for longer than the tenth
    /// of a second in which nobody makes room.
    private func patiently(
      _ path: String, _ route: ControlRoute
    ) throws -> (status: Int, body: [UInt8]) {
      for _ in 0..<2 {
        do {
          return try ControlAsker.ask(path, route)
        } catch let error as ControlClient.Failure
          where error.description.hasSuffix("the connection ended before the answer")
        {}
      }
      return try ControlAsker.ask(path, route)
    }

    func ask(_ path: String) throws {
      for route in [ControlRoute.info, .ping, .counters, .metrics, .info] {
        let (status, body) = try patiently(path, route)
        guard status != 200 else { continue }
        let text = String(decoding: body, as: UTF8.self)
        problems.withLock { $0.append("\(route): \(status) \(text)") }
      }
    }
  }

  @Test func aHundredClients() throws {
    let program = try runPC()
    let storm = Storm()
    TestThreads.run(
      (0..<100).map { index in
        { [path] in
          do {
            if index % 2 == 0 {
              try storm.attack(path, seed: index)
            } else {
              try storm.ask(path)
            }
          } catch {
            storm.problems.withLock { $0.append("client \(index): \(error)") }
          }
        }
      })
    #expect(storm.problems.withLock { $0 } == [])
    storm.kept.withLock { $0 = [] }
    try shutDown(program)
  }

  /// A client that nobody here wrote.
  @Test(.enabled(if: hasCurl, "needs curl"))
  func curlIsAnswered() throws {
    let program = try runPC("--display 1280x800")
    func curl(_ arguments: String...) throws -> String {
      try TestSupport.Program.run(
        Self.curl, ["-sS", "--max-time", "60", "--unix-socket", path] + arguments
      ).text
    }
    let base = "http://localhost/api/v1/"
    let two = try curl(base + "vmm.ping", base + "vm.info")
    #expect(two.split(separator: "\n").count == 2)
    let code = try curl("-w", "%{http_code}", "-X", "PUT", base + "vm.pause")
    #expect(code == "204")
    #expect(try curl("-I", base + "vm.info").hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(try curl("-X", "DELETE", base + "vm.info").contains("asked for by GET"))
    #expect(try curl("-X", "OPTIONS", "-i", base + "vm.info").contains("Allow: GET, HEAD"))
    // A body of a length that is not said, and one that is waited for.
    let chunked = try curl(
      "-i", "-X", "PUT", "-H", "Transfer-Encoding: chunked", "-d", "{}", base + "vm.cdrom")
    #expect(chunked.hasPrefix("HTTP/1.1 411 "))
    let large = String(repeating: " ", count: 50_000) + "{}"
    let expected = try curl(
      "-X", "PUT", "-H", "Expect: 100-continue", "-d", large, base + "vm.cdrom")
    #expect(expected.contains("no CD drive"))
    #expect(try curl("--http1.0", base + "vm.info").contains("Paused"))
    try shutDown(program)
  }

  // MARK: vmm-run ctl

  private func ctl(_ arguments: String) throws -> (status: Int32, text: String) {
    let path = try #require(VMMCommandTests.Program.path)
    return try TestSupport.Program.run(path, arguments.split(separator: " ").map(String.init))
  }

  @Test func ctlAsksAndPrints() throws {
    let program = try runPC()
    let info = try ctl("ctl \(path) info")
    #expect(info.status == 0)
    #expect(info.text.contains("  \"state\": \"Running\",\n"))
    #expect(try ctl("ctl unix:\(path) pause") == (0, ""))
    #expect(try ctl("ctl \(path) vm.info").text.contains("Paused"))
    #expect(try ctl("ctl \(path) metrics").text.hasPrefix("# HELP vmm_info "))
    let file = directory.path("metrics")
    #expect(try ctl("ctl \(path) metrics --output \(file)") == (0, ""))
    #expect(try directory.contents("metrics").contains("vmm_paused 1\n"))
    let refused = try ctl("ctl \(path) resize 1M")
    #expect(refused.status == 1)
    #expect(
      refused.text == "vmm-run: resize: the machine has no balloon; start it with --balloon\n")
    try shutDown(program)
    let gone = try ctl("ctl \(path) info")
    #expect(gone.status == 1)
    #expect(gone.text.contains("no machine listens there; start one with --control unix:PATH"))
  }

  @Test func aPathInUse() throws {
    let program = try runPC()
    let second = try ctl(
      "run --kernel \(directory.path("kernel")) --memory 64M --control unix:\(path)")
    #expect(second.status == 1)
    #expect(second.text.contains("another program listens there"))
    let third = try ctl(
      "run --kernel \(directory.path("kernel")) --control unix:\(directory.path("kernel"))")
    #expect(third.status == 1)
    #expect(third.text.contains("one file") || third.text.contains("no socket"), "\(third.text)")
    try shutDown(program)
    // One that was killed leaves its file behind.
    let killed = try runPC()
    killed.send(SIGKILL)
    killed.wait()
    #expect(unsafe access(path, F_OK) == 0)
    try shutDown(try runPC())
  }

  /// The first SIGTERM is the power button; this guest has none, so the run ends.
  @Test func aSignalEndsItToo() throws {
    let program = try runPC()
    program.send(SIGTERM)
    #expect(program.endsByItself() && program.wait() == .status(128 + SIGTERM))
    #expect(unsafe access(path, F_OK) != 0)
  }
}
