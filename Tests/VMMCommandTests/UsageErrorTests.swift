import MachineSpecification
import Testing

@testable import VMMCommand

/// Every message a wrong command line can lead to.
@Suite struct UsageErrorTests {
  @Test(arguments: [
    (
      "",
      "no command given; commands are demo, check, run, windows, restore, receive, ctl, evidence; see 'vmm-run --help'"
    ),
    ("dmeo", "unknown command 'dmeo'; did you mean 'demo'?"),
    ("rum --program x", "unknown command 'rum'; did you mean 'run'?"),
    (
      "start",
      "unknown command 'start'; commands are demo, check, run, windows, restore, receive, ctl, evidence; see 'vmm-run --help'"
    ),
    ("ctl", "'ctl' needs PATH: 'vmm-run ctl PATH COMMAND [ARG]...'; see 'vmm-run ctl --help'"),
    ("ctl s", "'ctl' needs COMMAND: 'vmm-run ctl PATH COMMAND [ARG]...'; see 'vmm-run ctl --help'"),
    (
      "ctl s puase",
      "COMMAND: 'puase' is not one of ping, info, counters, metrics, events, screenshot, pause,"
        + " resume, power-button, reboot, shutdown, snapshot, migrate, cancel-migration, resize, trim,"
        + " cdrom, nic; did you mean 'pause'?"
    ),
    ("ctl s pause now", "unexpected argument 'now'; see 'vmm-run ctl --help'"),
    (
      "ctl s resize",
      "'ctl' needs SIZE: 'vmm-run ctl PATH COMMAND [ARG]...'; see 'vmm-run ctl --help'"
    ),
    ("ctl s nic 0 sideways", "LINK: 'sideways' is not one of up, down"),
    ("ctl s cdrom eject x", "DRIVE: 'x' is not a number from 0 to 63"),
    ("ctl s screenshot", "option 'screenshot' works only together with '--output FILE'"),
    (
      "ctl s info --memory 1G",
      "'ctl' has no option '--memory'; it belongs to 'demo', 'run' and 'windows'"
    ),
    (
      "run --program p --control vm.sock",
      "option '--control': 'vm.sock' is not unix:PATH, with the path of a socket to make"
    ),
    (
      "run --program p --control unix:",
      "option '--control': 'unix:' is not unix:PATH, with the path of a socket to make"
    ),
    ("--memory 1G", "option '--memory' comes after a command: 'vmm-run demo --memory'"),
    ("--program=x", "option '--program' comes after a command: 'vmm-run run --program'"),
    ("--verison", "unknown option '--verison'; did you mean '--version'?"),
    ("--quiet", "unknown option '--quiet'; see 'vmm-run --help'"),
    ("demo --memroy 1G", "unknown option '--memroy'; did you mean '--memory'?"),
    ("demo --memroy=1G", "unknown option '--memroy'; did you mean '--memory'?"),
    ("demo --hlep", "unknown option '--hlep'; did you mean '--help'?"),
    ("demo --quiet", "unknown option '--quiet'; see 'vmm-run demo --help'"),
    ("demo --", "unknown option '--'; see 'vmm-run demo --help'"),
    (
      "check --memory 1G",
      "'check' has no option '--memory'; it belongs to 'demo', 'run' and 'windows'"
    ),
    ("run --map=x", "'run' has no option '--map'; it belongs to 'demo'"),
    ("demo memory 1G", "unexpected argument 'memory'; did you mean '--memory'?"),
    ("demo 1G", "unexpected argument '1G'; see 'vmm-run demo --help'"),
    (
      "run guest.bin",
      "unexpected argument 'guest.bin'; did you mean '--program guest.bin' or '--kernel guest.bin' "
        + "or '--firmware guest.bin' or '--config guest.bin'?"
    ),
    (
      "run -",
      "unexpected argument '-'; did you mean '--program -' or '--kernel -' or '--firmware -' or '--config -'?"
    ),
    ("run --program a b", "unexpected argument 'b'; see 'vmm-run run --help'"),
    ("demo --memory", "option '--memory' needs a value: '--memory SIZE[,max=SIZE][,target=SIZE]'"),
    ("demo --memory=", "option '--memory' needs a value: '--memory SIZE[,max=SIZE][,target=SIZE]'"),
    ("demo --map --json", "option '--map' needs a value: '--map FILE.svg'"),
    ("demo --json=yes", "option '--json' takes no value, but was given 'yes'"),
    ("demo --memory 1G --memory 2G", "option '--memory' was given more than once"),
    ("check --json --json", "option '--json' was given more than once"),
    (
      "demo --no-zeroed-memory --compare",
      "options '--compare' and '--no-zeroed-memory' cannot be combined; "
        + "'--compare' already runs both with and without it"
    ),
    (
      "run",
      "'run' needs the option '--program FILE' or '--kernel FILE' or '--firmware FILE' or '--config FILE'; see 'vmm-run run --help'"
    ),
    (
      "run --memory 1G",
      "'run' needs the option '--program FILE' or '--kernel FILE' or '--firmware FILE' or '--config FILE'; see 'vmm-run run --help'"
    ),
    (
      "demo --memory lots",
      "option '--memory': 'lots' is not a size; write for example 512M or 4G"
    ),
    ("demo --memory 5000", "option '--memory': 5000 is not a whole number of 4 KiB pages"),
    (
      "demo --granularity 3M",
      "option '--granularity': 3M is not a power of two from 4K to 32M"
    ),
    (
      "demo --granularity 64M",
      "option '--granularity': 64M is not a power of two from 4K to 32M"
    ),
    (
      "run --program x --granularity 2K",
      "option '--granularity': 2K is not a power of two from 4K to 32M"
    ),
    (
      "demo --tracking dirtylog",
      "option '--tracking': 'dirtylog' is not one of auto, dirty-log, write-protect, populated; "
        + "did you mean 'dirty-log'?"
    ),
    (
      "demo --tracking-policy often",
      "option '--tracking-policy': 'often' is not one of until-answered, always, never"
    ),
    (
      "demo --tracking-policy allways",
      "option '--tracking-policy': 'allways' is not one of until-answered, always, never; "
        + "did you mean 'always'?"
    ),
    (
      "demo --tracking-policy always=5",
      "option '--tracking-policy': 'always=5' is not one of until-answered, always, never; "
        + "did you mean 'always'?"
    ),
    (
      "demo --tracking-policy until-answered=soon",
      "option '--tracking-policy until-answered': 'soon' is not a number from 0 to 86400"
    ),
    (
      "run --program x --tracking-policy until-answered=-1",
      "option '--tracking-policy until-answered': '-1' is not a number from 0 to 86400"
    ),
    (
      "demo --refine some",
      "option '--refine': 'some' is not a size; write for example 512M or 4G"
    ),
    (
      "demo --trim-at-answer 0",
      "option '--trim-at-answer': '0' is not a number from 1 to 10000"
    ),
    (
      "run --program p --trim-at-answer=10s",
      "option '--trim-at-answer': '10s' is not a number from 1 to 10000"
    ),
    ("demo --cpus 0", "option '--cpus': '0' is not a number from 1 to 4"),
    ("demo --cpus 5", "option '--cpus': '5' is not a number from 1 to 4"),
    ("demo --cpus two", "option '--cpus': 'two' is not a number from 1 to 4"),
    (
      "demo --cpus 99999999999999999999",
      "option '--cpus': '99999999999999999999' is not a number from 1 to 4"
    ),
    (
      "demo --backing memdf",
      "option '--backing': 'memdf' is not one of anonymous, memfd, hugetlb; "
        + "did you mean 'memfd'?"
    ),
    (
      "demo --backing disk",
      "option '--backing': 'disk' is not one of anonymous, memfd, hugetlb"
    ),
    (
      "run --program x --hyperv user",
      "option '--hyperv': 'user' is not one of auto, kernel, userspace; "
        + "did you mean 'userspace'?"
    ),
  ])
  func message(line: String, message: String) {
    let arguments = line.split(separator: " ").map(String.init)
    let error = #expect(throws: UsageError.self) { try Invocation(arguments) }
    #expect(error?.description == message)
  }

  @Test func controlCharactersAreShownAndLongWordsCut() {
    #expect(QuotedText("a\u{1B}[2J\nb").description == "'a\\u{1B}[2J\\nb'")
    #expect(QuotedText("\u{202E}x").description == "'\\u{202E}x'")
    #expect(QuotedText("größe").description == "'größe'")
    let long = QuotedText(String(repeating: "x", count: 100_000)).description
    #expect(long == "'" + String(repeating: "x", count: 80) + "...'")
  }

  @Test func diagnosticsAreOneLine() {
    #expect(
      Diagnostics.line(UsageError.noCommand)
        == "vmm-run: no command given; commands are demo, check, run, windows, restore, receive, ctl, evidence; see 'vmm-run --help'\n"
    )
  }

  @Test(
    arguments: [
      (.success, 0), (.failure, 1), (.usage, 2), (.hostCannot, 3), (.guest(0), 0),
      (.guest(255), 255), (.signalled(2), 130), (.signalled(15), 143),
    ] as [(VMMCommand.ExitStatus, Int32)])
  func exitCodes(status: VMMCommand.ExitStatus, code: Int32) {
    #expect(status.code == code)
  }
}
