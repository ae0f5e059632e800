import HyperVCore
import MachineSpecification
import Testing

@testable import VMMCommand

/// `--config` and `--print-config`.
@Suite struct ConfigurationFileTests {
  private static let kernel = """
    {"version": 1, "kernel": {"file": "vmlinuz", "commandLine": "quiet"}, "vcpus": 2,
     "memory": {"size": "512M"}, "disks": [{"file": "a", "serial": "x"}], "display": "1280x800"}
    """
  private static let program = #"{"version": 1, "program": {"file": "p"}}"#
  private static let firmware = #"{"version": 1, "firmware": {}, "disks": [{"file": "a"}]}"#

  private func options(_ line: String, _ json: String) throws(UsageError) -> RunOptions? {
    let words = ["run", "--config", "m"] + line.split(separator: " ").map(String.init)
    let invocation = try Invocation(
      words, on: HostSize(memory: .gibi(8), processorCount: 2)
    ) { (path) throws(UsageError) in
      #expect(path == "m")
      do throws(MachineSpecError) {
        return try MachineSpec(json: Array(json.utf8))
      } catch {
        throw .invalidConfiguration(file: path, error)
      }
    }
    guard case .run(let options) = invocation else { return nil }
    return options
  }

  @Test("alone, the file is the machine", arguments: [kernel, program, firmware])
  func alone(json: String) throws {
    let options = try #require(try options("", json))
    #expect(options == RunOptions(try MachineSpec(json: Array(json.utf8))))
  }

  @Test("options change it, and disks are added")
  func changed() throws {
    let line = """
      --memory 1G --disk b --append debug --rtc local --prealloc --screenshot s --print-config
      """
    let options = try #require(try options(line, Self.kernel))
    var machine = try MachineSpec(json: Array(Self.kernel.utf8))
    var kernel = KernelSpec(file: "vmlinuz")
    kernel.commandLine = "debug"
    var computer = ComputerSpec(.kernel(kernel))
    computer.disks = [DiskSpec(file: "a", serial: "x"), DiskSpec(file: "b")]
    computer.display = DisplaySpec(width: 1280, height: 800)
    computer.clock = .local
    machine.guest = .computer(computer)
    machine.partition.memory.byteCount = .gibi(1)
    machine.partition.memory.isPreallocated = true
    var expected = RunOptions(machine)
    expected.screenshotPath = "s"
    expected.printsConfiguration = true
    #expect(options == expected)
  }

  @Test(
    "what does not go with the file's guest",
    arguments: [
      ("--append a", firmware, "option '--append' works only together with '--kernel FILE'"),
      ("--vars v", kernel, "option '--vars' works only together with '--firmware FILE'"),
      (
        "--disk d", program,
        "option '--disk' works only together with '--kernel FILE' or '--firmware FILE'"
      ),
      (
        "--screenshot s", program,
        "option '--screenshot' works only together with '--kernel FILE' or '--firmware FILE'"
      ),
      (
        "--program q", program,
        "options '--program' and '--config' cannot be combined; the file says what the machine "
          + "starts with"
      ),
      ("--cpus 5", program, "option '--cpus': '5' is not a number from 1 to 4"),
      (
        "--disk b,serial=x", kernel,
        "option '--disk': two disks have the serial number 'x', by which guests tell them apart"
      ),
      (
        "--boot-order disk1", firmware,
        "option '--boot-order': 'disk1' is not one of disk0; "
          + "did you mean 'disk0'?"
      ),
      ("", #"{"version": 2}"#, "machine 'm': version: 2 is newer than this program, which knows 1"),
    ])
  func message(line: String, json: String, message: String) {
    let error = #expect(throws: UsageError.self) { try options(line, json) }
    #expect(error?.description == message)
  }

  @Test("a file that is none")
  func noFile() throws {
    let place = try TemporaryDirectory()
    let missing = #expect(throws: UsageError.self) {
      try GuestFile.machine(place.path("missing"))
    }
    #expect(missing?.description.hasSuffix("(ENOENT); check the path") == true)
    try place.write([0x7B], to: "cut.json")
    let cut = #expect(throws: UsageError.self) { try GuestFile.machine(place.path("cut.json")) }
    #expect(
      cut?.description
        == "machine '\(place.path("cut.json"))': is not JSON: line 1, column 2: the name of a member "
        + "is missing")
  }
}
