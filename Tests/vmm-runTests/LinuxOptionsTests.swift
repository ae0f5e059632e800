import HyperVCore
import Testing

@testable import vmm_run

/// The command line of `run --kernel`: what it means, and every message it can lead to.
@Suite struct LinuxOptionsTests {
  private func parse(_ line: String) throws(UsageError) -> RunOptions? {
    let words = ["run"] + line.split(separator: " ").map(String.init)
    guard case .run(let options) = try Invocation(words) else { return nil }
    return options
  }

  private func linux(_ line: String) throws -> LinuxOptions {
    guard case .linux(let options) = try parse("--kernel k " + line)?.guest else {
      throw UsageError.noCommand
    }
    return options
  }

  @Test func defaults() throws {
    let options = try #require(try parse("--kernel vmlinuz"))
    #expect(options == RunOptions(guest: .linux(LinuxOptions(kernelPath: "vmlinuz"))))
    #expect(options.machine.memory == .gibi(1))
    let linux = LinuxOptions(kernelPath: "vmlinuz")
    #expect(linux.initrdPath == nil && linux.commandLine == nil && linux.disks.isEmpty)
    #expect(linux.serial == .stdio && linux.clock == .utc && linux.hyperVFeatures == .default)
    #expect(linux.onCrash == .report && linux.onReset == .reset && !linux.tracesIO)
  }

  @Test func everyOption() throws {
    var linux = LinuxOptions(kernelPath: "vmlinuz")
    linux.initrdPath = "initrd"
    linux.commandLine = "console=ttyS0"
    linux.disks = [DiskOption(path: "a.img"), DiskOption(path: "b.img", isReadOnly: true)]
    linux.serial = .file("serial.log")
    linux.clock = .local
    linux.hyperVFeatures = .chosen([.vpIndex, .time, .crash])
    linux.onCrash = .ignore
    linux.onReset = .exit
    linux.tracesIO = true
    var machine = MachineOptions(memory: .mebi(512))
    machine.cpuCount = 2
    let expected = RunOptions(guest: .linux(linux), machine: machine)
    let line = """
      --disk a.img --kernel vmlinuz --append console=ttyS0 --initrd=initrd --cpus 2 \
      --serial file:serial.log --disk=b.img,readonly --rtc local --memory 512M --trace-io \
      --hyperv-features time,vpindex,crash --on-crash ignore --on-reset exit
      """
    #expect(try parse(line) == expected)
  }

  @Test func appendIsOneArgument() throws {
    let arguments = ["run", "--kernel", "k", "--append", "console=ttyS0 root=/dev/nvme0n1 quiet"]
    guard case .run(let options) = try Invocation(arguments), case .linux(let linux) = options.guest
    else {
      Issue.record("not a kernel")
      return
    }
    #expect(linux.commandLine == "console=ttyS0 root=/dev/nvme0n1 quiet")
    #expect(try self.linux("--append=--x").commandLine == "--x")
  }

  @Test(arguments: [
    ("a", DiskOption(path: "a")), ("a,readonly", DiskOption(path: "a", isReadOnly: true)),
    ("a,,b", DiskOption(path: "a,b")), ("a,,,,b", DiskOption(path: "a,,b")),
    ("a,,,readonly", DiskOption(path: "a,", isReadOnly: true)),
    ("a,readonly,readonly", DiskOption(path: "a", isReadOnly: true)),
    ("/dev/x:y=z", DiskOption(path: "/dev/x:y=z")), (",,", DiskOption(path: ",")),
  ])
  func disks(text: String, disk: DiskOption) throws {
    #expect(try DiskOption(parsing: text) == disk)
    #expect(try linux("--disk 0 --disk \(text)").disks == [DiskOption(path: "0"), disk])
  }

  @Test(arguments: [
    ("stdio", SerialChoice.stdio), ("pty", .pty), ("none", SerialChoice.none),
    ("file:x", .file("x")), ("file:file:", .file("file:")), ("file:/a b", .file("/a b")),
  ])
  func serials(text: String, choice: SerialChoice) throws {
    #expect(try SerialChoice(parsing: text) == choice)
  }

  @Test(arguments: Enlightenments.names)
  func everyFeatureByName(name: String) throws {
    let feature = try #require(Enlightenments.named(name))
    let needed = Enlightenments.requirements(of: feature).members.map(\.description)
    #expect(
      try HyperVFeatureChoice(parsing: ([name] + needed).joined(separator: ","))
        == .chosen(feature.union(Enlightenments.requirements(of: feature))))
  }

  @Test func sets() throws {
    #expect(try HyperVFeatureChoice(parsing: "none") == .chosen([]))
    #expect(try HyperVFeatureChoice(parsing: "default") == .default)
    #expect(
      try HyperVFeatureChoice(parsing: Enlightenments.names.joined(separator: ","))
        == .chosen(.all))
  }

  private static let names = Enlightenments.names.joined(separator: ", ")

  @Test(arguments: [
    (
      "--program p --kernel k",
      "options '--program' and '--kernel' cannot be combined; a machine runs one or the other"
    ),
    (
      "--kernel k --program p --disk d",
      "options '--program' and '--kernel' cannot be combined; a machine runs one or the other"
    ),
    ("--kernel", "option '--kernel' needs a value: '--kernel FILE'"),
    ("--kernel k --kernel l", "option '--kernel' was given more than once"),
    ("--kernel k --initrd a --initrd b", "option '--initrd' was given more than once"),
    ("--kernel k --append= ", "option '--append' needs a value: '--append STRING'"),
    ("--kernel k --append a b", "unexpected argument 'b'; see 'vmm-run run --help'"),
    ("--kernle k", "unknown option '--kernle'; did you mean '--kernel'?"),
    ("--kernel k --disks d", "unknown option '--disks'; did you mean '--disk'?"),
    ("--kernel k --disk", "option '--disk' needs a value: '--disk FILE[,readonly]'"),
    ("--kernel k --disk ,readonly", "option '--disk' needs a value: '--disk FILE[,readonly]'"),
    (
      "--kernel k --disk d,readonyl",
      "option '--disk FILE,': 'readonyl' is not one of readonly; did you mean 'readonly'?"
    ),
    ("--kernel k --disk d,", "option '--disk FILE,': '' is not one of readonly"),
    (
      "--kernel k --disk d,readonly,x", "option '--disk FILE,': 'x' is not one of readonly"
    ),
    (
      "--kernel k --serial stido",
      "option '--serial': 'stido' is not one of stdio, pty, file:PATH, none; did you mean 'stdio'?"
    ),
    (
      "--kernel k --serial flie:log",
      "option '--serial': 'flie:log' is not one of stdio, pty, file:PATH, none; "
        + "did you mean 'file:PATH'?"
    ),
    (
      "--kernel k --serial /dev/ttyS0",
      "option '--serial': '/dev/ttyS0' is not one of stdio, pty, file:PATH, none"
    ),
    ("--kernel k --serial file:", "option '--serial' needs a value: '--serial file:PATH'"),
    ("--kernel k --serial file", "option '--serial' needs a value: '--serial file:PATH'"),
    ("--kernel k --rtc utv", "option '--rtc': 'utv' is not one of utc, local; did you mean 'utc'?"),
    (
      "--kernel k --on-crash die", "option '--on-crash': 'die' is not one of report, ignore"
    ),
    (
      "--kernel k --on-reset exti",
      "option '--on-reset': 'exti' is not one of reset, exit; did you mean 'exit'?"
    ),
    ("--kernel k --trace-io=x", "option '--trace-io' takes no value, but was given 'x'"),
    (
      "--kernel k --hyperv-features vpidnex,time",
      "option '--hyperv-features': 'vpidnex' is not one of \(names); did you mean 'vpindex'?"
    ),
    (
      "--kernel k --hyperv-features nnoe",
      "option '--hyperv-features': 'nnoe' is not one of \(names), none, default; "
        + "did you mean 'none'?"
    ),
    (
      "--kernel k --hyperv-features relaxed,none",
      "option '--hyperv-features': 'none' is not one of \(names)"
    ),
    (
      "--kernel k --hyperv-features relaxed,,time",
      "option '--hyperv-features': '' is not one of \(names)"
    ),
    (
      "--kernel k --hyperv-features synic",
      "option '--hyperv-features': cannot enable Hyper-V enlightenment synic without vpindex; "
        + "add vpindex or remove synic"
    ),
  ])
  func message(line: String, message: String) {
    let error = #expect(throws: UsageError.self) { try parse(line) }
    #expect(error?.description == message)
  }

  @Test(arguments: [
    "--initrd i", "--append a", "--disk d", "--serial none", "--rtc utc",
    "--hyperv-features none", "--on-crash report", "--on-reset exit", "--trace-io",
  ])
  func needsAKernel(option: String) {
    let name = option.split(separator: " ")[0]
    for line in [option, "--program p \(option)", "\(option) --program p"] {
      let error = #expect(throws: UsageError.self) { try parse(line) }
      #expect(error?.description == "option '\(name)' works only together with '--kernel FILE'")
    }
  }
}
