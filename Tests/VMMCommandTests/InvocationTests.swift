import ControlAPI
import MachineSpecification
import SMBIOS
import Testing
import ZeroTracker

@testable import VMMCommand

@Suite struct InvocationTests {
  private func parse(_ line: String) throws(UsageError) -> Invocation {
    try Invocation(line.split(separator: " ").map(String.init))
  }

  @Test(arguments: [
    ("--help", Invocation.help(nil)), ("-h", .help(nil)), ("--help run", .help(.run)),
    ("--version", .version), ("demo --help", .help(.demo)), ("check -h", .help(.check)),
    ("run --help", .help(.run)), ("demo --memroy 1 --help", .help(.demo)),
    ("demo", .demo(DemoOptions())), ("check", .check(CheckOptions())),
    ("check --json", .check(CheckOptions(printsJSON: true))),
    ("run --program a.bin", .run(RunOptions(MachineSpec(.program(file: "a.bin"))))),
    ("run --program=-", .run(RunOptions(MachineSpec(.program(file: "-"))))),
    ("run --program=a=b", .run(RunOptions(MachineSpec(.program(file: "a=b"))))),
  ])
  func understands(line: String, invocation: Invocation) throws {
    #expect(try parse(line) == invocation)
  }

  @Test(arguments: [
    ("always", TrackingPolicy.always), ("never", .never),
    ("until-answered", .untilAnswered(seconds: 30)),
    ("until-answered=0", .untilAnswered(seconds: 0)),
    ("until-answered=86400", .untilAnswered(seconds: 86_400)),
  ])
  func trackingPolicies(word: String, policy: TrackingPolicy) throws {
    var options = DemoOptions()
    options.partition.tracking.policy = policy
    #expect(try parse("demo --tracking-policy \(word)") == .demo(options))
  }

  @Test func refinementCanBeOff() throws {
    var options = DemoOptions()
    options.partition.tracking.refinement = .off
    #expect(try parse("demo --refine off") == .demo(options))
  }

  @Test(
    arguments: [
      ("", nil), (" --trim-at-answer", 100), (" --trim-at-answer --cpus 2", 100),
      (" --trim-at-answer=1", 1), (" --trim-at-answer 10000", 10_000),
      (" --trim-at-answer --thp --tracking dirty-log", 100),
    ] as [(String, Int?)])
  func trimming(options text: String, milliseconds: Int?) throws {
    guard case .demo(let demo) = try parse("demo" + text) else { return }
    #expect(demo.partition.tracking.trimMilliseconds == milliseconds)
    guard case .run(let run) = try parse("run --program p" + text) else { return }
    #expect(run.machine.partition.tracking.trimMilliseconds == milliseconds)
  }

  @Test(arguments: [
    ("--prealloc", "that memory is not given back"),
    ("--backing memfd", "the kernel keeps zero pages of such memory"),
    ("--backing hugetlb", "the kernel keeps zero pages of such memory"),
    ("--tracking write-protect", "what is given back would not be reported as zero"),
  ])
  func nothingToTrim(other: String, reason: String) {
    let error = #expect(throws: UsageError.self) { try parse("demo --trim-at-answer \(other)") }
    #expect(
      error?.description
        == "options '--trim-at-answer' and '\(other)' cannot be combined; \(reason)")
  }

  @Test func defaults() throws {
    let demo = DemoOptions()
    #expect(demo.partition.memory == MemorySpec(.gibi(1)))
    #expect(demo.partition.vcpuCount == 1)
    #expect(demo.partition.memory.backing == .anonymous)
    #expect(demo.partition.hyperV.transport == .automatic)
    #expect(demo.partition.tracking.granularity == .default)
    #expect(demo.offersZeroedMemory)
    #expect(try parse("run --program x") == .run(RunOptions(MachineSpec(.program(file: "x")))))
    #expect(
      RunOptions(MachineSpec(.program(file: "x"))).machine.partition.memory.byteCount == .mebi(64))
  }

  @Test(arguments: [
    """
    demo --memory 4G --cpus 3 --backing memfd --prealloc --granularity 8K --hyperv userspace \
    --no-zeroed-memory --map m.svg --json --trace-hypercalls t.jsonl --thp --verify-zeroed \
    --tracking write-protect --tracking-policy until-answered=5 --refine 1M
    """,
    """
    demo --refine=1024K --tracking-policy=until-answered=5 --tracking=write-protect \
    --verify-zeroed --thp --trace-hypercalls=t.jsonl --json --map=m.svg --no-zeroed-memory --hyperv=userspace \
    --granularity=8KiB --prealloc --backing=memfd --cpus=3 --memory=4096M
    """,
  ])
  func everyDemoOption(line: String) throws {
    var options = DemoOptions()
    options.partition.memory.byteCount = .gibi(4)
    options.partition.vcpuCount = 3
    options.partition.memory.backing = .memfd
    options.partition.memory.isPreallocated = true
    options.partition.memory.usesTransparentHugePages = true
    options.partition.tracking.source = .writeProtect
    options.partition.tracking.policy = .untilAnswered(seconds: 5)
    options.partition.tracking.refinement = .reading(.mebi(1))
    options.partition.tracking.verifiesZeroedMemory = true
    options.partition.tracking.granularity = try TrackingGranularity(byteCount: 8 << 10)
    options.partition.hyperV.transport = .userspace
    options.traceHypercalls = LogFileSpec(file: "t.jsonl")
    options.offersZeroedMemory = false
    options.mapPath = "m.svg"
    options.printsJSON = true
    #expect(try parse(line) == .demo(options))
  }

  @Test func everyRunOption() throws {
    var partition = PartitionSpec(memory: .mebi(128))
    partition.vcpuCount = 4
    partition.memory.backing = .hugetlb
    partition.memory.isPreallocated = true
    partition.tracking.granularity = try TrackingGranularity(byteCount: 32 << 20)
    partition.hyperV.transport = .kernel
    var expected = RunOptions(MachineSpec(.program(file: "p"), partition))
    expected.traceHypercalls = LogFileSpec(file: "t")
    let line = """
      run --program p --memory 128M --cpus 4 --backing hugetlb --prealloc --granularity 32M \
      --hyperv kernel --trace-hypercalls t
      """
    #expect(try parse(line) == .run(expected))
  }

  @Test(arguments: ["4K", "8K", "2M", "32M"])
  func granularities(text: String) throws {
    guard case .demo(let options) = try parse("demo --granularity \(text)") else { return }
    #expect(
      ByteCount(options.partition.tracking.granularity.byteCount).optionText == text)
  }

  @Test(
    arguments: [
      ("", nil), (" --memory-hints none", .some(.none)), (" --memory-hints all", .all),
      (" --memory-hints none --prealloc", .some(.none)),
    ] as [(String, MemoryHints?)])
  func memoryHints(options text: String, hints: MemoryHints?) throws {
    guard case .demo(let options) = try parse("demo" + text) else { return }
    #expect(options.partition.memory.hints == hints)
  }

  @Test(arguments: [
    ("demo --memory-hints discard --prealloc", "discard", "--prealloc"),
    ("demo --memory-hints all --backing hugetlb", "all", "--backing hugetlb"),
  ])
  func hintsWhereNothingIsGivenBack(line: String, hints: String, other: String) {
    let error = #expect(throws: UsageError.self) { try parse(line) }
    #expect(
      error?.description == "options '--memory-hints \(hints)' and '\(other)' cannot be combined; "
        + "that memory is not given back")
  }

  @Test func compareIsWithBoth() throws {
    guard case .demo(let options) = try parse("demo --compare") else { return }
    #expect(options.compares && options.offersZeroedMemory)
  }

  @Test func controlSockets() throws {
    guard case .run(let options) = try Invocation(words("run --program p --control unix:a/b"))
    else {
      Issue.record("no run")
      return
    }
    #expect(options.control?.path == "a/b")
    func ctl(_ line: String) throws -> CtlOptions? {
      guard case .ctl(let options) = try Invocation(words("ctl \(line)")) else { return nil }
      return options
    }
    let resize = try ctl("vm.sock resize 1M --output f")
    #expect(resize?.path == "vm.sock")
    #expect(resize?.outputPath == "f")
    #expect(resize?.request.route == .resize)
    #expect(resize?.request.body?.compactText == #"{"desired_balloon":1048576}"#)
    #expect(
      try ctl("s resize 0")?.request.body?.compactText == #"{"desired_balloon":0}"#)
    #expect(
      try ctl("s resize memory 6G")?.request.body?.compactText == #"{"desired_ram":6442450944}"#)
    #expect(throws: UsageError.self) { try ctl("s resize memory") }
    #expect(throws: UsageError.self) { try ctl("s resize memory 0") }
    #expect(try ctl("unix:s vm.power-button")?.request == .init(route: .powerButton))
    #expect(try ctl("unix:s vm.power-button")?.path == "s")
    #expect(
      try ctl("s nic 1 down")?.request.body?.compactText == #"{"nic":1,"link":false}"#)
    for (line, body) in [
      ("s cdrom", "{}"), ("s cdrom next", "{}"), ("s cdrom eject", #"{"medium":null}"#),
      ("s cdrom a.iso 1", #"{"medium":"a.iso","drive":1}"#), ("s cdrom next 2", #"{"drive":2}"#),
    ] {
      #expect(try ctl(line)?.request.body?.compactText == body)
    }
  }

  @Test func savedMachines() throws {
    func run(_ line: String) throws -> RunOptions? {
      guard case .run(let options) = try Invocation(words(line)) else { return nil }
      return options
    }
    #expect(
      try run("run --kernel k --control unix:s --snapshots saved")?.snapshotsPath == "saved")
    let restored = try run("restore saved/a --serial none --control unix:s")
    #expect(restored?.restoredFrom?.files == SnapshotFiles(directory: "saved/a"))
    #expect(restored?.snapshotsPath == nil)
    guard case .computer(let computer)? = restored?.machine.guest else {
      Issue.record("no computer")
      return
    }
    #expect(computer.boot == .kernel(KernelSpec(file: "/boot/vmlinuz")))
    #expect(computer.serial == SerialSpec.none)
    guard case .ctl(let options) = try Invocation(words("ctl s snapshot a")) else {
      Issue.record("no request")
      return
    }
    #expect(options.request.body?.compactText == #"{"name":"a"}"#)
    for line in [
      "run --kernel k --snapshots saved", "restore", "restore a b", "restore a --memory 1G",
      "ctl s snapshot",
    ] {
      #expect(throws: UsageError.self, "\(line)") { try Invocation(words(line)) }
    }
  }

  /// A copy of a machine: another UUID, and other cards, those with a chosen address included.
  @Test func newIdentities() throws {
    let line = words(
      "run --firmware f --uuid 12345678-9abc-def0-1234-56789abcdef0 --net passt=a"
        + " --net passt=b,mac=52:54:00:11:11:11")
    func computer(_ options: RunOptions) throws -> ComputerSpec {
      let computer: ComputerSpec? =
        if case .computer(let computer) = options.machine.guest { computer } else { nil }
      return try #require(computer)
    }
    guard case .run(let options) = try Invocation(line) else {
      Issue.record("no run")
      return
    }
    let original = try computer(options)
    let changed = try (0..<2).map { _ in
      try computer(
        RunOptions(
          restoring: OptionParser(.restore).parse(["a", "--new-identity"]),
          readSnapshot: { _ in Invocation.snapshot(of: options.machine) }))
    }
    func uuid(_ computer: ComputerSpec) -> SystemUUID? {
      if case .firmware(let firmware) = computer.boot { firmware.uuid } else { nil }
    }
    #expect(Set([uuid(original)] + changed.map(uuid)).count == 3)
    let addresses = ([original] + changed).flatMap { $0.networks.map(\.address) }
    #expect(Set(addresses).count == 6 && addresses.dropFirst(2).allSatisfy { $0 != nil })
    // Nothing else is another one.
    for var copy in changed {
      copy.boot = original.boot
      for index in copy.networks.indices {
        copy.networks[index].address = original.networks[index].address
      }
      #expect(copy == original)
    }
    #expect(throws: UsageError.self) { try Invocation(words("run --kernel k --new-identity")) }
  }

  /// Every file that a machine names is named from the root when it is saved.
  @Test func savedPathsAreAbsolute() throws {
    let line =
      "run --firmware c.fd --vars v.fd --vars-template t.fd --fw-cfg opt/a=f"
      + " --disk d --cdrom i,next=j --serial file:l --tpm tpm --net passt=n --disk /root/d"
    guard case .run(let options) = try Invocation(words(line)) else {
      Issue.record("no run")
      return
    }
    let machine = options.machine.withAbsolutePaths(from: "/w")
    let text = machine.json
    for name in ["c.fd", "v.fd", "t.fd", "f", "d", "i", "j", "l", "tpm", "n"] {
      #expect(text.contains("\"/w/\(name)\""), "\(name) in \(text)")
    }
    #expect(text.contains("\"/root/d\""))
    #expect(machine.withAbsolutePaths(from: "/other") == machine)
    guard case .computer(let computer) = machine.guest, case .file(let log) = computer.serial
    else {
      Issue.record("no log")
      return
    }
    #expect(log.appends, "what the machine wrote before it was saved")
  }

  private func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }
}
