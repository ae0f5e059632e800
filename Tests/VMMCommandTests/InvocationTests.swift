import Testing

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
    ("run --program a.bin", .run(RunOptions(guest: .program("a.bin")))),
    ("run --program=-", .run(RunOptions(guest: .program("-")))),
    ("run --program=a=b", .run(RunOptions(guest: .program("a=b")))),
  ])
  func understands(line: String, invocation: Invocation) throws {
    #expect(try parse(line) == invocation)
  }

  @Test(arguments: [
    ("always", TrackingPolicyChoice.always), ("never", .never),
    ("until-answered", .untilAnswered(seconds: nil)),
    ("until-answered=0", .untilAnswered(seconds: 0)),
    ("until-answered=86400", .untilAnswered(seconds: 86_400)),
  ])
  func trackingPolicies(word: String, policy: TrackingPolicyChoice) throws {
    var options = DemoOptions()
    options.machine.tracking.policy = policy
    #expect(try parse("demo --tracking-policy \(word)") == .demo(options))
  }

  @Test func refinementCanBeOff() throws {
    var options = DemoOptions()
    options.machine.tracking.refinement = .off
    #expect(try parse("demo --refine off") == .demo(options))
  }

  @Test func defaults() throws {
    let demo = DemoOptions()
    #expect(demo.machine.memory == .gibi(1))
    #expect(demo.machine.cpuCount == 1)
    #expect(demo.machine.backing == .anonymous)
    #expect(demo.machine.hyperV == .auto)
    #expect(demo.machine.granularity == nil)
    #expect(demo.offersZeroedMemory)
    #expect(try parse("run --program x") == .run(RunOptions(guest: .program("x"))))
    #expect(RunOptions(guest: .program("x")).machine.memory == .mebi(64))
  }

  @Test(arguments: [
    """
    demo --memory 4G --cpus 3 --backing memfd --prealloc --granularity 64K --hyperv userspace \
    --no-zeroed-memory --map m.svg --json --trace-hypercalls t.jsonl --thp --verify-zeroed \
    --tracking write-protect --tracking-policy until-answered=5 --refine 1M
    """,
    """
    demo --refine=1024K --tracking-policy=until-answered=5 --tracking=write-protect \
    --verify-zeroed --thp --trace-hypercalls=t.jsonl --json --map=m.svg --no-zeroed-memory --hyperv=userspace \
    --granularity=64KiB --prealloc --backing=memfd --cpus=3 --memory=4096M
    """,
  ])
  func everyDemoOption(line: String) throws {
    var options = DemoOptions()
    options.machine.memory = .gibi(4)
    options.machine.cpuCount = 3
    options.machine.backing = .memfd
    options.machine.preallocates = true
    options.machine.usesTransparentHugePages = true
    options.machine.tracking.source = .writeProtect
    options.machine.tracking.policy = .untilAnswered(seconds: 5)
    options.machine.tracking.refinement = .reading(.mebi(1))
    options.machine.tracking.verifiesZeroedMemory = true
    options.machine.granularity = .kibi(64)
    options.machine.hyperV = .userspace
    options.machine.traceHypercalls = LogFileOption(path: "t.jsonl")
    options.offersZeroedMemory = false
    options.mapPath = "m.svg"
    options.printsJSON = true
    #expect(try parse(line) == .demo(options))
  }

  @Test func everyRunOption() throws {
    var machine = MachineOptions(memory: .mebi(128))
    machine.cpuCount = 4
    machine.backing = .hugetlb
    machine.preallocates = true
    machine.granularity = .mebi(32)
    machine.hyperV = .kernel
    machine.traceHypercalls = LogFileOption(path: "t")
    let line = """
      run --program p --memory 128M --cpus 4 --backing hugetlb --prealloc --granularity 32M \
      --hyperv kernel --trace-hypercalls t
      """
    #expect(try parse(line) == .run(RunOptions(guest: .program("p"), machine: machine)))
  }

  @Test(arguments: ["4K", "8K", "2M", "32M"])
  func granularities(text: String) throws {
    guard case .demo(let options) = try parse("demo --granularity \(text)") else { return }
    #expect(options.machine.granularity?.optionText == text)
  }

  @Test func compareIsWithBoth() throws {
    guard case .demo(let options) = try parse("demo --compare") else { return }
    #expect(options.compares && options.offersZeroedMemory)
  }
}
