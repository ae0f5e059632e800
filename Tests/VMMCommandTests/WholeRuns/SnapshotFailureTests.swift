import ControlAPI
import Glibc
import KVM
import MachineSpecification
import TestSupport
import Testing

@testable import VMMCommand

/// Saving that fails: what was there is as it was, and nothing is left of what was not saved.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct SnapshotFailureTests {
  private let directory: TemporaryDirectory
  private let output: TestPipe
  private var socket: String { directory.path("s") }
  private var saved: String { directory.path("saved") }

  init() throws {
    directory = try TemporaryDirectory()
    output = try TestPipe()
    try directory.write(
      TestGuest.kernel(TestGuest.print("!") + TestGuest.wait), to: "kernel")
  }

  private func start(_ line: String) throws -> Program {
    let program = try Program(
      "\(line) --control unix:\(socket) --snapshots \(saved)", output: .descriptor(output.writer))
    return program
  }

  private func startAnew() throws -> Program {
    let program = try start("run --kernel \(directory.path("kernel")) --memory 64M")
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    return program
  }

  private func save(_ name: String) throws {
    _ = try ControlAsker.value(socket, .snapshot, .members([("name", .text(name))]))
  }

  private func refusal(_ name: String) throws -> (Int, String) {
    try ControlAsker.refusal(socket, .snapshot, .members([("name", .text(name))]))
  }

  private func shutDown(_ program: Program) throws {
    #expect(try ControlAsker.ask(socket, .shutdown).status == 204)
    #expect(program.endsByItself() && program.wait() == .status(0))
  }

  /// What this program cannot read may be another version's, with any memory.
  @Test func whatCannotBeReadIsLeftAlone() throws {
    let program = try startAnew()
    try save("now")
    var machine = try directory.bytes("saved/now/machine")
    machine[16] &+= 1
    try directory.write(machine, to: "saved/now/machine")
    let memory = try directory.bytes("saved/now/memory-a")
    for _ in 0..<2 {
      let refusal = try refusal("now")
      #expect(refusal.0 == 500 && refusal.1.contains("version 2"), "\(refusal)")
    }
    #expect(try directory.bytes("saved/now/machine") == machine)
    #expect(try directory.bytes("saved/now/memory-a") == memory)
    #expect(try directory.names(in: "saved/now").count == 2)
    try save("other")
    try shutDown(program)
  }

  /// Directories where files should be.
  @Test func whatFailsLeavesNothing() throws {
    let program = try startAnew()
    try save("now")
    let before = try directory.bytes("saved/now/machine")
    // SAFETY: the path lives for the call.
    #expect(unsafe mkdir(directory.path("saved/now/machine.new"), 0o700) == 0)
    #expect(try refusal("now").0 == 500)
    #expect(try directory.bytes("saved/now/machine") == before)
    #expect(
      try Set(directory.names(in: "saved/now")) == ["machine", "memory-a", "machine.new"])
    #expect(unsafe rmdir(directory.path("saved/now/machine.new")) == 0)
    try directory.write([1], to: "saved/file")
    #expect(try refusal("file").1.contains("Not a directory"))
    #expect(try directory.bytes("saved/file") == [1])
    // A pipe, which would wait for its reader, and a link out of the directory.
    #expect(unsafe mkdir(directory.path("saved/odd"), 0o700) == 0)
    #expect(unsafe mkfifo(directory.path("saved/odd/memory-a"), 0o600) == 0)
    try directory.write([7], to: "mine")
    #expect(unsafe symlink(directory.path("mine"), directory.path("saved/odd/machine.new")) == 0)
    try save("odd")
    #expect(try directory.bytes("mine") == [7])
    try save("now")
    try shutDown(program)
    let next = try Program("restore \(saved)/odd --control unix:\(socket)")
    // Its file is there a moment before anybody listens.
    try waitUntil { (try? ControlAsker.ask(socket, .ping)) != nil }
    try shutDown(next)
  }
}
