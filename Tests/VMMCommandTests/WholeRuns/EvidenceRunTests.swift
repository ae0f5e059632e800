import FoundationEssentials
import Glibc
import KVM
import TestSupport
import Testing

@testable import VMMCommand

/// `--evidence` of whole runs, in their sandbox, and what `evidence` packs.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct EvidenceRunTests {
  private let directory: TemporaryDirectory
  private let input: TestPipe
  private let output: TestPipe
  private let messages: TestPipe
  private var record: String { directory.path("record") }

  init() throws {
    directory = try TemporaryDirectory()
    input = try TestPipe()
    output = try TestPipe()
    messages = try TestPipe()
    // It says who it is, has a hypercall page, uses a port that nobody has, and gives back what it
    // gets, up to a `.`.
    try directory.write(
      TestGuest.kernel(
        Array(TestGuest.hypercalls.prefix(28)) + TestGuest.out(0x1234, 1)
          + TestGuest.echo(until: 0x2E, then: TestGuest.powerOff)), to: "kernel")
    try directory.write([UInt8](repeating: 7, count: 1 << 20), to: "private-disk")
  }

  private func start(_ options: String = "") throws -> Program {
    try Program(
      "run --kernel \(directory.path("kernel")) --memory 64M --cpus 2"
        + " --disk \(directory.path("private-disk")),serial=private"
        + " --display 1024x768 --evidence \(record) \(options)",
      input: .descriptor(input.reader), output: .descriptor(output.writer),
      error: .descriptor(messages.writer))
  }

  private func lines(_ name: String) throws -> [JSON] {
    try directory.contents("record/run-1/\(name)").split(separator: "\n")
      .map { try JSON(parsing: String($0)) }
  }

  /// Waits until there is a sample of the guest that has written its registers, and ends it.
  private func finish(_ program: Program) throws {
    try #require(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    #expect(
      eventually(seconds: 60) {
        (try? directory.contents("record/run-1/registers.jsonl"))?.contains("HYPERCALL") == true
          && (try? directory.contents("record/run-1/samples.jsonl"))?.isEmpty == false
      })
    input.send(".")
    #expect(program.endsByItself() && program.wait() == .status(0))
  }

  private func evidence(_ line: String) throws -> (status: Int32, text: String) {
    let output = try TestPipe()
    let program = try Program(
      "evidence \(line)", output: .descriptor(output.writer), error: .descriptor(output.writer))
    output.closeWriter()
    let text = String(decoding: readAll(from: output.reader), as: UTF8.self)
    guard program.endsByItself(), case .status(let status) = program.wait() else {
      return (-1, text)
    }
    return (status, text)
  }

  @Test func whatAGuestDidIsThere() throws {
    try finish(try start())
    #expect(
      Set(try directory.names(in: "record/run-1")) == Set(EvidenceFile.allCases.map(\.rawValue)))
    let registers = try lines("registers.jsonl")
    #expect(
      registers.map { $0["msr"] }.contains(.string("HV_X64_MSR_GUEST_OS_ID (0x40000000)")))
    #expect(
      registers.first { $0["msr"] == .string("HV_X64_MSR_HYPERCALL (0x40000001)") }?["value"]
        == .string("0x300001"))
    let samples = try lines("samples.jsonl")
    for key in ["time", "life", "vcpu_ticks", "vcpus", "memory", "disks"] {
      #expect(samples.allSatisfy { $0.keys.contains(key) })
    }
    #expect(try directory.contents("record/run-1/unclaimed.txt").contains("0x1234"))
    let outcome = try JSON(parsing: directory.contents("record/run-1/outcome.json"))
    #expect(outcome["outcome"] == .string("the guest switched the machine off"))
    #expect(outcome["lives"] == .number(1))
    #expect(
      try JSON(parsing: directory.contents("record/run-1/about.json"))["machine"]?["verify"]
        == .bool(true))
    // Of all that is there nothing names the disk, its serial number, or where it lies.
    for name in try directory.names(in: "record/run-1") {
      let text = try directory.contents("record/run-1/\(name)")
      #expect(!text.contains("private") && !text.contains(directory.path("")), "\(name)")
    }
    messages.closeWriter()
    let said = String(decoding: readAll(from: messages.reader), as: UTF8.self)
    #expect(said.contains("evidence: \(record)/run-1\n"))
    // That list is for --trace-io.
    #expect(!said.contains("0x1234"))
  }

  @Test func screensAreThere() throws {
    try directory.write(TestGuest.kernel(ViewerTests.guest), to: "kernel")
    let program = try start()
    // The first may be of a guest that still draws.
    #expect(
      eventually(seconds: 60) {
        (try? directory.names(in: "record/run-1"))?.contains { name in
          EvidenceFile.isScreen(name)
            && (try? directory.bytes("record/run-1/\(name)")).map {
              ViewerTests.isPicture($0, [0x33, 0x66, 0x99])
            } == true
        } == true
      })
    program.send(SIGTERM)
    #expect(program.endsByItself() && program.wait() == .status(128 + SIGTERM))
    let outcome = try JSON(parsing: directory.contents("record/run-1/outcome.json"))
    #expect(outcome["outcome"] == .string("stopped"))
  }

  @Test func whatIsPackedWasListed() throws {
    try finish(try start())
    try finish(try start("--sandbox off"))
    try directory.write([1], to: "record/run-1/screen-000010.png")
    try directory.write([1], to: "record/run-2/notes.txt")
    let archive = directory.path("evidence.tar.gz")

    var (status, text) = try evidence(record)
    #expect(status == 0 && text.contains("screen-000010.png") && !text.contains("packed"))
    #expect(!FileManager.default.fileExists(atPath: archive))

    (status, text) = try evidence("\(record) --output \(archive)")
    #expect(status == 0, "\(text)")
    let listed = try TestSupport.Program.run(
      "/usr/bin/tar", ["--list", "--verbose", "--numeric-owner", "--file", archive])
    let own = EvidenceFile.allCases.map(\.rawValue)
    let names = listed.text.split(separator: "\n").map { line in
      String(line.split(separator: " ").last ?? "")
    }
    #expect(
      Set(names)
        == Set((own + ["screen-000010.png"]).map { "run-1/\($0)" } + own.map { "run-2/\($0)" }))
    #expect(listed.text.split(separator: "\n").allSatisfy { $0.contains(" 0/0 ") })

    // What is there already stays.
    let bytes = try directory.bytes("evidence.tar.gz")
    (status, text) = try evidence("\(record) --output \(archive)")
    #expect(status == 1 && text.contains("write \(archive)"))
    #expect(try directory.bytes("evidence.tar.gz") == bytes)

    let bare = directory.path("bare.tar.gz")
    (status, text) = try evidence("\(record) --output \(bare) --without-screens")
    #expect(status == 0 && !text.contains("screen-"))
    #expect(
      try !TestSupport.Program.run("/usr/bin/tar", ["--list", "--file", bare]).text
        .contains("screen-"))
  }

  @Test func whereThereIsNothingItSaysWhatToDo() throws {
    var (status, text) = try evidence(directory.path("nowhere"))
    #expect(status == 1 && text.contains("name the directory that --evidence was given"), "\(text)")
    try FileManager.default.createDirectory(
      atPath: directory.path("empty"), withIntermediateDirectories: false)
    (status, text) = try evidence(directory.path("empty"))
    #expect(status == 1 && text.contains("record one:"), "\(text)")
    (status, text) = try evidence("")
    #expect(status == 2, "\(text)")
  }

  /// Its files cannot grow: the guest goes on, and the end says so.
  @Test func aFullDiskEndsTheRecordAlone() throws {
    let program = try Program(
      [
        "-c",
        "ulimit -f 2; exec \"$0\" run --kernel \(directory.path("kernel")) --memory 64M"
          + " --evidence \(record)", VMMCommandTests.Program.path ?? "",
      ].map { Array($0.utf8) }, executable: "/bin/sh",
      input: .descriptor(input.reader), output: .descriptor(output.writer),
      error: .descriptor(messages.writer))
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    // There is no room for three.
    #expect(
      eventually(seconds: 60) {
        (try? directory.bytes("record/run-1/samples.jsonl").count) ?? 0 >= 512
      })
    input.send("a")
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x61])
    input.send(".")
    #expect(program.endsByItself() && program.wait() == .status(0))
    messages.closeWriter()
    let said = String(decoding: readAll(from: messages.reader), as: UTF8.self)
    #expect(said.contains("the evidence is not complete: cannot write"), "\(said)")
    #expect(try directory.contents("record/run-1/samples.jsonl").last == "\n")
    #expect(try (1...2).contains(lines("samples.jsonl").count))
  }
}
