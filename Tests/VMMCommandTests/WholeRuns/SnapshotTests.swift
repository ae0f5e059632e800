import ControlAPI
import FoundationEssentials
import Glibc
import HostSystem
import KVM
import MachineSpecification
import TestSupport
import Testing

@testable import VMMCommand

/// `snapshot` and `restore` of whole runs, in their sandbox.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct SnapshotTests {
  private let directory: TemporaryDirectory
  private let input: TestPipe
  private let output: TestPipe
  private let messages: TestPipe
  private var socket: String { directory.path("s") }
  private var saved: String { directory.path("saved") }
  private var disk: String { directory.path("disk") }

  init() throws {
    directory = try TemporaryDirectory()
    input = try TestPipe()
    output = try TestPipe()
    messages = try TestPipe()
    // It says `!` when it starts, and then gives back what it gets, up to a `.`.
    try directory.write(
      TestGuest.kernel(TestGuest.echo(until: 0x2E, then: TestGuest.powerOff)), to: "kernel")
    try directory.write([UInt8](repeating: 7, count: 1 << 20), to: "disk")
  }

  private func start(_ line: String) throws -> Program {
    try Program(
      line, input: .descriptor(input.reader), output: .descriptor(output.writer),
      error: .descriptor(messages.writer))
  }

  private func startAnew() throws -> Program {
    let program = try start(
      "run --kernel \(directory.path("kernel")) --memory 64M --cpus 2 --disk \(disk) --rng on"
        + " --control unix:\(socket) --snapshots \(saved)")
    #expect(output.received(1) == "!")
    return program
  }

  private func restore(_ name: String) throws -> Program {
    try start("restore \(saved)/\(name) --control unix:\(socket) --snapshots \(saved)")
  }

  /// What a process has open.
  private func openFiles(of program: Program) throws -> [String] {
    let place = "/proc/\(program.processID)/fd"
    return try FileManager.default.contentsOfDirectory(atPath: place).compactMap {
      try? FileManager.default.destinationOfSymbolicLink(atPath: place + "/" + $0)
    }
  }

  private func save(_ name: String) throws {
    let reply = try ControlAsker.value(
      socket, .snapshot, .members([("name", .text(name))]))
    #expect(reply["path"] == .text("\(saved)/\(name)"))
  }

  private func shutDown(_ program: Program) throws {
    #expect(try ControlAsker.ask(socket, .shutdown).status == 204)
    #expect(program.endsByItself() && program.wait() == .status(0))
  }

  private func refusal(_ line: String) throws -> (Int32, String) {
    let messages = try TestPipe()
    let program = try Program(line, error: .descriptor(messages.writer))
    guard program.endsByItself(), case .status(let status) = program.wait() else {
      return (-1, "")
    }
    messages.closeWriter()
    return (status, String(decoding: readAll(from: messages.reader), as: UTF8.self))
  }

  @Test func aGuestGoesOnInAnotherProcess() throws {
    var program = try startAnew()
    for round in 0..<3 {
      input.send("a\(round)")
      #expect(output.received(2) == "a\(round)")
      #expect(try ControlAsker.ask(socket, .pause).status == 204)
      try save("now")
      #expect(try ControlAsker.value(socket, .info)["state"] == .text("Paused"))
      try shutDown(program)
      program = try restore("now")
    }
    // One that runs goes on after it.
    input.send("b")
    #expect(output.received(1) == "b")
    let files = try openFiles(of: program)
    #expect(!files.isEmpty && !files.contains { $0.contains("/memory-") }, "\(files)")
    try save("later")
    #expect(try ControlAsker.value(socket, .info)["state"] == .text("Running"))
    input.send("c.")
    #expect(output.received(1) == "c")
    #expect(program.endsByItself() && program.wait() == .status(0))
    // What was saved is whole, and no file is left of what was not.
    for name in ["now", "later"] {
      let names = try directory.names(in: "saved/\(name)")
      #expect(names.count == 2 && names.contains("machine"), "\(names)")
    }
    // The guest that goes on from before the end ends a second time.
    program = try restore("later")
    input.send(".")
    #expect(program.endsByItself() && program.wait() == .status(0))
  }

  /// A reset starts the guest, and not what was saved.
  @Test func aResetStartsAnew() throws {
    var program = try startAnew()
    try save("now")
    try shutDown(program)
    program = try restore("now")
    input.send("a")
    #expect(output.received(1) == "a")
    #expect(try ControlAsker.ask(socket, .reboot).status == 204)
    #expect(output.received(1) == "!")
    try shutDown(program)
  }

  @Test func whatIsNotAsItWasIsRefused() throws {
    let program = try startAnew()
    try save("now")
    let second = try refusal(
      "run --kernel \(directory.path("kernel")) --control unix:\(directory.path("t"))"
        + " --snapshots \(saved)")
    #expect(second.0 != 0 && second.1.contains("another run has it"), "\(second)")
    let name = try ControlAsker.refusal(
      socket, .snapshot, .members([("name", .text("../now"))]))
    #expect(name.0 == 400)
    try shutDown(program)

    let none = try refusal("restore \(saved)/nothing")
    #expect(none.0 != 0 && none.1.contains("No such file"), "\(none)")
    // One byte of the memory, and then of the disk.
    let memory = try directory.bytes("saved/now/memory-a")
    var other = memory
    other[0x10_0000] ^= 1
    try directory.write(other, to: "saved/now/memory-a")
    let damaged = try refusal("restore \(saved)/now")
    #expect(damaged.0 != 0 && damaged.1.contains("have changed since"), "\(damaged)")
    try directory.write(memory, to: "saved/now/memory-a")
    try directory.write(try directory.bytes("disk"), to: "disk")
    let changed = try refusal("restore \(saved)/now")
    #expect(changed.0 != 0 && changed.1.contains("has changed since the machine was saved"))
    // Cut short, at every length that has another meaning.
    let machine = try directory.bytes("saved/now/machine")
    for count in [0, 1, 15, 16, 19, 20, 100, machine.count / 2, machine.count - 1] {
      try directory.write(Array(machine.prefix(count)), to: "saved/now/machine")
      let cut = try refusal("restore \(saved)/now")
      #expect(cut.0 == 2, "\(count): \(cut)")
    }
  }

  /// The far end of the cable is a socket of this test.
  @Test func aCopyHasAnIdentityOfItsOwn() throws {
    let listener = try UnixListener(Array(directory.path("net").utf8))
    defer { listener.removeFile() }
    func address() throws -> JSONValue? {
      // The guest runs, so clients can connect.
      input.send("a")
      #expect(output.received(1) == "a")
      let machine = try ControlAsker.value(socket, .info)["config"]
      guard case .array(let cards)? = machine?["guest"]?["networks"] ?? machine?["networks"] else {
        return nil
      }
      return cards.first?["mac"]
    }
    var program = try start(
      "run --kernel \(directory.path("kernel")) --memory 64M --control unix:\(socket)"
        + " --net passt=\(directory.path("net")),mac=52:54:00:01:02:03 --snapshots \(saved)")
    #expect(output.received(1) == "!")
    var addresses: [JSONValue?] = [try address()]
    try save("now")
    try shutDown(program)
    for option in ["", " --new-identity", " --new-identity"] {
      program = try start(
        "restore \(saved)/now --control unix:\(socket) --snapshots \(saved)" + option)
      addresses.append(try address())
      // It stays what it has become.
      if addresses.count == 3 { try save("copy") }
      try shutDown(program)
    }
    program = try restore("copy")
    addresses.append(try address())
    try shutDown(program)
    #expect(addresses[0] == .text("52:54:00:01:02:03") && addresses[1] == addresses[0])
    #expect(
      addresses[2] != addresses[1] && addresses[3] != addresses[1]
        && addresses[3] != addresses[2] && addresses[4] == addresses[2], "\(addresses)")
  }

  @Test func withoutAPlaceNothingIsSaved() throws {
    let program = try start(
      "run --kernel \(directory.path("kernel")) --memory 64M --control unix:\(socket)")
    #expect(output.received(1) == "!")
    let refusal = try ControlAsker.refusal(
      socket, .snapshot, .members([("name", .text("now"))]))
    #expect(refusal.0 == 409 && refusal.1.contains("--snapshots"))
    try shutDown(program)
  }
}
