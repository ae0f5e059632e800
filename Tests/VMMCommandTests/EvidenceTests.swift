import FoundationEssentials
import MachineSpecification
import Testing

@testable import VMMCommand

/// What `vmm-run evidence` makes of files, whoever wrote them.
struct EvidenceTests {
  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func run(_ name: String, _ files: [String: String]) throws -> EvidenceRun {
    let path = directory.path(name)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for (file, text) in files { try directory.write(Array(text.utf8), to: "\(name)/\(file)") }
    return try EvidenceRun(name, in: path)
  }

  private func sample(_ time: Double, life: Int, resident: Int, ticks: Int) -> String {
    """
    {"time":\(time),"life":\(life),"vcpu_ticks":[{"user":\(ticks),"system":1},{"user":0,"system":1}],\
    "memory":{"ram_bytes":1,"populated_bytes":\(resident),"written_bytes":7}}

    """
  }

  private let call = """
    {"time":1.500000000,"vcpu":0,"code":"0x8002","status":0,\
    "ranges":[{"startPage":16,"pageCount":256},{"startPage":512,"pageCount":256}]}
    {"time":2.5,"vcpu":0,"code":"0x8001","status":0,"capabilities":3}
    {"time":3.5,"vcpu":0,"code":"0x8002","status":2}

    """

  @Test func aRunIsItsLastLife() throws {
    let run = try run(
      "run-1",
      [
        "hypercalls.jsonl": call,
        "samples.jsonl": sample(1, life: 1, resident: 1 << 30, ticks: 900)
          + sample(2, life: 2, resident: 4096, ticks: 10)
          + sample(13, life: 2, resident: 8192, ticks: 20)
          + sample(14, life: 2, resident: 0, ticks: 0)
          + "{\"time\":15,\"life\":2,\"vcpu_ti",
        "outcome.json": "{\"outcome\": \"stopped\"}",
        "about.json": "{\"machine\": {\"hyperv_features\": \"all\"}}",
      ])
    #expect(run.hypercallCount == 3)
    #expect(run.answers.map(\.time) == [1.5] && run.answers.map(\.byteCount) == [2 << 20])
    #expect(run.samples.count == 4)
    #expect(run.sample(afterSeconds: 10)?.resident == 8192)
    #expect(run.sample(afterSeconds: 30) == nil)
    #expect(run.ticks == 22)
    #expect(run.outcome == "stopped" && run.features == "all")
  }

  /// A line from the start of the last machine on, in the frame of its axes, and a mark at the
  /// answer.
  @Test func memoryOverTime() throws {
    let run = try run(
      "run-1",
      [
        "hypercalls.jsonl": call,
        "samples.jsonl": sample(0.5, life: 1, resident: 1 << 30, ticks: 1)
          + sample(1, life: 2, resident: 0, ticks: 1)
          + sample(51, life: 2, resident: 3 << 20, ticks: 1)
          + sample(101, life: 2, resident: 1 << 20, ticks: 1),
        "about.json": "{\"machine\": {\"hyperv_features\": \"<all>\"}}",
      ])
    let line = run.memoryLine
    #expect(line.points.map(\.time) == [0, 50, 100])
    #expect(line.points.map(\.byteCount) == [0, 3 << 20, 1 << 20])
    #expect(line.answers == [0.5])
    let text = MemoryLogSVG([line, .init(name: "none", points: [(0, 5)], answers: [])]).text
    // 720 by 320 from (90, 60) on: 100 seconds, 4 MiB.
    #expect(text.contains("<polyline points=\"90,380 450,140 810,300\" "))
    #expect(text.contains("<circle cx=\"93.60\" cy=\"380\" "))
    #expect(text.contains("run-1, Hyper-V features &lt;all&gt;: at most 3 MiB, 1 MiB at the end"))
    #expect(text.contains(">100</text>") && text.contains(">4 MiB</text>"))
    #expect(MemoryLogSVG([]).text.hasSuffix("</svg>\n"))
  }

  /// Samples that somebody wrote: times that are none are left out, and the rest is drawn.
  @Test func timesThatCannotBe() throws {
    let run = try run(
      "run-1",
      [
        "hypercalls.jsonl": call.replacing("1.500000000", with: "1e300"),
        "samples.jsonl": sample(1, life: 1, resident: .max, ticks: 1)
          + sample(1e300, life: 1, resident: 1, ticks: 1)
          + sample(3, life: 1, resident: 4096, ticks: 1)
          + sample(-1e300, life: 1, resident: 1, ticks: 1)
          + sample(2, life: 1, resident: 4096, ticks: 1),
      ])
    let line = run.memoryLine
    #expect(line.points.map(\.time) == [0, 1, 2])
    #expect(line.answers == [])
    #expect(MemoryLogSVG([line]).text.contains("<polyline points=\"90,"))
  }

  @Test func damagedFilesSayNothing() throws {
    let run = try run(
      "run-1",
      [
        "hypercalls.jsonl": "[]\n{\"ranges\":[{\"pageCount\":-1}],\"time\":0}\nnull\n\u{0}\n",
        "samples.jsonl": "{}\n{\"time\":\"1\",\"life\":1}\n", "outcome.json": "[",
        "about.json": "{\"machine\":7}",
      ])
    #expect(run.answers.map(\.byteCount) == [0])
    #expect(run.samples.isEmpty && run.ticks == nil && run.last == nil)
    #expect(run.outcome == nil && run.features == "unknown")
    #expect(EvidenceReport([run], hasScreens: true).text.contains("has not ended, or was killed"))
  }

  @Test func onlyItsOwnFilesAreListed() throws {
    let run = try run(
      "run-1",
      [
        "about.json": "{}", "screen-000010.png": "x", "screen-000020.png": "yy",
        "screen-../x.png": "z", "notes.txt": "mine", "screen-1.png.bak": "old",
      ].filter { !$0.key.contains("/") })
    #expect(
      run.files(hasScreens: true).map(\.name)
        == ["about.json", "screen-000010.png", "screen-000020.png"])
    #expect(run.files(hasScreens: false).map(\.name) == ["about.json"])
    let text = EvidenceReport([run], hasScreens: true).text
    #expect(text.contains("screen-000010.png and 1 more") && text.contains("look at each"))
    #expect(!text.contains("notes.txt"))
    #expect(!EvidenceReport([run], hasScreens: false).text.contains("screen"))
  }

  @Test func runsStandSideBySide() throws {
    let with = try run(
      "run-1",
      [
        "hypercalls.jsonl": call,
        "samples.jsonl": sample(1, life: 1, resident: 1 << 20, ticks: 100)
          + sample(12, life: 1, resident: 2 << 20, ticks: 298),
      ])
    let without = try run(
      "run-2", ["samples.jsonl": sample(1, life: 1, resident: 1 << 30, ticks: 100)])
    let lines = EvidenceReport([with, without], hasScreens: true).text
      .split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
    for line in [
      "run-1 run-2", "hypercalls seen 3 0", "answers to 0x8002 1 0",
      "first of them after 1.50 s -", "reported as zero, at most 2 MiB -",
      "resident after 10.00 s 2 MiB -", "vCPU time after 10.00 s 3.00 s -",
      "resident at the end 2 MiB 1 GiB",
    ] {
      #expect(lines.contains(line), "\(line) in \(lines)")
    }
  }

  @Test func eachRunHasANumber() throws {
    let evidence = EvidenceDirectory(path: directory.path("e"))
    #expect(!evidence.isThere && evidence.runs.isEmpty)
    #expect(try evidence.makeRun() == directory.path("e/run-1"))
    #expect(try evidence.makeRun() == directory.path("e/run-2"))
    #expect(evidence.runs.map(\.name) == ["run-1", "run-2"])
  }

  @Test func whatIsNoDirectoryIsRefused() throws {
    try directory.write([1], to: "file")
    let error = #expect(throws: SystemError.self) {
      try EvidenceDirectory(path: directory.path("file")).makeRun()
    }
    #expect(error?.description.contains("make the directory") == true)
    #expect(throws: SystemError.self) {
      try EvidenceDirectory(path: directory.path("none/none")).makeRun()
    }
  }

  @Test func nothingPersonalIsDescribed() throws {
    let firmware = FirmwareSpec(image: "/home/anna/x")
    var machine = MachineSpec(.computer(ComputerSpec(.firmware(firmware))))
    guard case .computer(var computer) = machine.guest else { return }
    computer.disks = [DiskSpec(file: "/home/anna/windows.img")]
    computer.disks[0].serial = "anna-1"
    computer.tpm = .directory("/home/anna/tpm")
    computer.networks = [NetworkSpec(.passt(path: "/home/anna/passt"))]
    machine.guest = .computer(computer)
    let text = EvidenceDescription(machine).value.text()
    #expect(text.contains("\"nvme, 512 bytes\"") && text.contains("\"e1000e\""))
    #expect(!text.contains("anna") && !text.contains("/home"))
  }
}
