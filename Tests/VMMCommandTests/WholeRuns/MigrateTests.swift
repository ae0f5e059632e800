import ControlAPI
import FoundationEssentials
import Glibc
import HostSystem
import KVM
import MachineSpecification
import TestSupport
import Testing

@testable import VMMCommand

/// `ctl migrate` and `receive` of whole runs, in their sandbox.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct MigrateTests {
  private let directory: TemporaryDirectory
  private let input: TestPipe
  private let output: TestPipe

  private var disk: String { directory.path("disk") }
  private var place: String { "unix:" + directory.path("m") }
  private func socket(_ number: Int) -> String { directory.path("s\(number)") }

  init() throws {
    directory = try TemporaryDirectory()
    input = try TestPipe()
    output = try TestPipe()
    // It says `!` when it starts, and then gives back what it gets, up to a `.`.
    try directory.write(
      TestGuest.kernel(TestGuest.echo(until: 0x2E, then: TestGuest.powerOff)), to: "kernel")
    try directory.write([UInt8](repeating: 7, count: 1 << 20), to: "disk")
  }

  private func start(_ line: String, _ messages: TestPipe? = nil) throws -> Program {
    try Program(
      line, input: .descriptor(input.reader), output: .descriptor(output.writer),
      error: messages.map { .descriptor($0.writer) } ?? .null)
  }

  private func startSource(_ more: String = "") throws -> Program {
    let program = try start(
      "run --kernel \(directory.path("kernel")) --memory 64M --cpus 2 --disk \(disk) --rng on"
        + " --control unix:\(socket(0))" + more)
    #expect(output.received(1) == "!")
    return program
  }

  /// Returns when somebody waits there.
  private func startReceiver(
    _ number: Int, at place: String, _ more: String = ""
  ) throws -> (program: Program, messages: TestPipe) {
    let messages = try TestPipe()
    let program = try start(
      "receive \(place) --control unix:\(socket(number))" + more, messages)
    #expect(
      String(decoding: read(30, from: messages.reader, patienceMilliseconds: 60_000), as: UTF8.self)
        .contains("waiting"))
    return (program, messages)
  }

  /// Asks as `ctl` does.
  ///
  /// - Parameter connected: called when the destination has the connection.
  private func migrate(
    _ number: Int, to place: String, _ words: String = "", connected: () throws -> Void = {}
  ) throws -> (status: Int, body: JSONValue) {
    let options = try CtlOptions(
      OptionParser(.ctl).parse(
        ["unix:" + socket(number), "migrate", place] + words.split(separator: " ").map(String.init))
    )
    let connection = try #require(options.destination).connected()
    try connected()
    var client = try ControlClient(options.path)
    try client.send(options.request, with: connection.rawValue)
    var body: [UInt8] = []
    while try client.receive(60_000) { body += client.takeBody() }
    return (client.status?.rawValue ?? 0, try JSONParser.parse(body))
  }

  private func message(_ body: JSONValue) -> String {
    guard case .text(let text)? = body["fault_message"] else { return "" }
    return text
  }

  private func end(_ program: Program, _ number: Int) throws {
    #expect(try ControlAsker.ask(socket(number), .shutdown).status == 204)
    #expect(program.endsByItself() && program.wait() == .status(0))
  }

  private func expectWorking(_ text: String) {
    input.send(text)
    #expect(output.received(text.utf8.count) == text)
  }

  /// From process to process, by turns over both kinds of sockets, with the disk's locks.
  @Test func aGuestGoesFromProcessToProcess() throws {
    var program = try startSource()
    for round in 0..<4 {
      expectWorking("a\(round)")
      let place = round % 2 == 0 ? self.place : "tcp:127.0.0.1:\(28_410 + round)"
      let (next, _) = try startReceiver(round + 1, at: place)
      let (status, body) = try migrate(round, to: place)
      #expect(status == 200, "\(message(body))")
      #expect(ControlSchema.migrationState.problems(of: body) == [])
      #expect(program.endsByItself() && program.wait() == .status(0))
      program = next
      expectWorking("b\(round)")
      let locked = try RawImageStoreProbe.isLocked(disk)
      #expect(locked, "the destination has the disk")
    }
    #expect(try !directory.names(in: "").contains("m"))
    input.send(".")
    #expect(program.endsByItself() && program.wait() == .status(0))
  }

  /// With swtpm, which has a lock of its own.
  @Test(.enabled(if: ChildProcess.find("swtpm") != nil, "needs swtpm"))
  func aMachineWithATPMGoes() throws {
    var program = try startSource(" --tpm \(directory.path("tpm"))")
    for round in 0..<3 {
      let (next, _) = try startReceiver(round + 1, at: place)
      let (status, body) = try migrate(round, to: place)
      #expect(status == 200, "\(message(body))")
      #expect(program.endsByItself() && program.wait() == .status(0))
      expectWorking("there \(round)")
      #expect(try RawImageStoreProbe.isLocked(directory.path("tpm")))
      program = next
    }
    input.send(".")
    #expect(program.endsByItself() && program.wait() == .status(0))
    #expect(try !RawImageStoreProbe.isLocked(directory.path("tpm")))
  }

  /// Whatever is refused, the guest goes on where it is, and another move works.
  @Test func whatIsRefusedStays() throws {
    let program = try startSource()
    let none = try ControlAsker.refusal(
      socket(0), .sendMigration, MigrationRequest(destination: place).value)
    #expect(none.0 == 400 && none.1.contains("SCM_RIGHTS"), "\(none)")

    // A destination that expects another machine, one that cannot listen to the same clients, and
    // one whose port is taken.
    try directory.write(Array("{}".utf8), to: "other.json")
    try directory.write(
      Array(MachineSpec(.program(file: "/nothing")).json.utf8), to: "other.json")
    for (more, words) in [
      (" --config \(directory.path("other.json"))", "not the one of '--config'"),
      (" --trace-hypercalls \(directory.path("no/file"))", "No such file"),
    ] {
      let (receiver, _) = try startReceiver(1, at: place, more)
      let (status, body) = try migrate(0, to: place)
      #expect(status == 500 && message(body).contains(words), "\(message(body))")
      #expect(receiver.endsByItself() && receiver.wait() != .status(0))
      expectWorking("still here")
    }
    // Not a socket at all.
    var client = try ControlClient(socket(0))
    try client.send(
      CtlOptions.Request(
        route: .sendMigration, body: MigrationRequest(destination: place).value),
      with: input.writer)
    while try client.receive(60_000) {}
    #expect(client.status?.rawValue == 500)
    expectWorking("and here")
    #expect(try ControlAsker.ask(socket(0), .cancelMigration).status == 204)

    let (receiver, _) = try startReceiver(1, at: place)
    let (status, body) = try migrate(0, to: place)
    #expect(status == 200, "\(message(body))")
    #expect(program.endsByItself() && program.wait() == .status(0))
    expectWorking("there")
    try end(receiver, 1)
  }

  /// A destination that is killed at any moment leaves the source running, with its disk; a source
  /// that is killed leaves no machine.
  @Test(arguments: ChildProcess.find("swtpm") == nil ? [false] : [false, true])
  func killedAtAnyMoment(hasTPM: Bool) throws {
    let program = try startSource(hasTPM ? " --tpm \(directory.path("tpm"))" : "")
    for round in 0..<6 {
      let (receiver, _) = try startReceiver(1, at: place)
      let victim = receiver.processID
      var killer: HostThread?
      let (status, body) = try migrate(0, to: place) {
        killer = try HostThread {
          // What is left to chance is how far it has come.
          for _ in 0..<(round * 400) { sched_yield() }
          kill(victim, SIGKILL)
        }
      }
      killer?.join()
      receiver.wait()
      if status == 200 {
        // It had been told to go on, and had said so: that was the machine's end, not the source's.
        #expect(program.endsByItself() && program.wait() == .status(0))
        return
      }
      // Where it is not known whether it runs there, somebody who knows lets it go on here.
      if message(body).contains("look there") {
        #expect(try ControlAsker.ask(socket(0), .resume).status == 204)
      }
      expectWorking("round \(round)")
      #expect(try RawImageStoreProbe.isLocked(disk))
    }
    let (receiver, _) = try startReceiver(1, at: place)
    let connection = try MigrationAddress(parsing: place).connected()
    // A source that says nothing more after its first words.
    let bytes = Array("vmm-run moves\0".utf8) + [1, 0, 1, 0]
    // SAFETY: the bytes live for the call.
    _ = unsafe write(connection.rawValue, bytes, bytes.count)
    shutdown(connection.rawValue, Int32(SHUT_RDWR))
    #expect(receiver.endsByItself() && receiver.wait() == .status(1))
    try end(program, 0)
  }

  /// What a client is told meanwhile.
  @Test func eventsTell() throws {
    let program = try startSource()
    let listener = RawListener(socket(0))
    let (receiver, _) = try startReceiver(1, at: place)
    let (status, _) = try migrate(0, to: place, "downtime=500 rounds=3 if-busy=stay")
    #expect(status == 200)
    #expect(program.endsByItself() && program.wait() == .status(0))
    let text = listener.text()
    for name in ["migration-started", "migration-round", "migrated", "shutdown"] {
      #expect(text.contains("\"event\":\"\(name)\""), "\(name) in \(text)")
    }
    try end(receiver, 1)
  }
}

/// Whether somebody else has an image.
private enum RawImageStoreProbe {
  static func isLocked(_ path: String) throws -> Bool {
    let file = try FileDescriptor { unsafe open(path, O_RDONLY | O_CLOEXEC) }
    return flock(file.rawValue, LOCK_EX | LOCK_NB) != 0
  }
}

/// A client of events, read at the end.
private final class RawListener {
  private let client: RawClient?

  init(_ path: String) {
    client = try? RawClient(path)
    client?.send("GET /api/v1/vm.events HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = client?.read(to: "subscribed")
  }

  func text() -> String { client?.read(to: "never") ?? "" }
}
