import FoundationEssentials
import Glibc
import KVM
import Testing

@testable import VMMCommand

/// A terminal across stops by a shell: raw while the guest has it, as it was while the shell has
/// it.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct JobControlTests {
  private let directory: TemporaryDirectory
  private let terminal: PseudoTerminal
  private let before: tcflag_t
  private let line: String

  init() throws {
    directory = try TemporaryDirectory()
    terminal = try PseudoTerminal()
    before = terminal.localFlags
    try directory.write(
      TestGuest.kernel(TestGuest.echo(until: 4, then: TestGuest.powerOff)), to: "kernel")
    line = "run --memory 64M --kernel \(directory.path("kernel"))"
  }

  private var isRaw: Bool { terminal.localFlags & tcflag_t(ICANON | ECHO | ISIG) == 0 }

  private func reads(_ text: String) -> Bool {
    var seen = ""
    while !seen.contains(text) {
      let more = read(1, from: terminal.controller, patienceMilliseconds: 60_000)
      if more.isEmpty { return false }
      seen += String(decoding: more, as: UTF8.self)
    }
    return true
  }

  private func type(_ text: String) { write(Array(text.utf8), to: terminal.controller) }

  /// Makes the terminal as a shell has it, with a change of the user's.
  private func cook() {
    var settings = termios()
    // SAFETY: the structure lives for the calls.
    unsafe tcgetattr(terminal.descriptor, &settings)
    settings.c_lflag |= tcflag_t(ICANON | ISIG | IEXTEN)
    settings.c_lflag &= ~tcflag_t(ECHO)
    unsafe tcsetattr(terminal.descriptor, TCSANOW, &settings)
  }

  /// Nothing tells of SIGSTOP before.
  @Test func afterAStopThatNothingTellsOf() throws {
    let program = try Program(line, terminal: terminal.path)
    #expect(reads("!"))
    #expect(isRaw)
    program.send(SIGSTOP)
    usleep(50_000)
    cook()
    let meanwhile = terminal.localFlags
    program.send(SIGCONT)
    #expect(eventually { isRaw })
    type("abc")
    #expect(reads("abc"))
    // Ctrl-A x: back to what was found when it went on.
    write([1, UInt8(ascii: "x")], to: terminal.controller)
    #expect(program.endsByItself() && program.end == .status(0))
    #expect(terminal.localFlags == meanwhile)
  }

  /// A shell that does nothing for the terminal, as most of them: the run gives it back, and takes
  /// it again.
  @Test func underAShell() throws {
    let shell = try Program(
      ["-i"].map { Array($0.utf8) }, executable: "/bin/sh", terminal: terminal.path,
      environment: ["PS1=", "TERM=dumb", "PATH=/usr/bin:/bin"])
    type("echo ready-$((1+1))\n")
    #expect(reads("ready-2"))
    let path = try #require(Program.path)
    type("\(path) \(line)\n")
    #expect(reads("!"))
    #expect(eventually { isRaw })
    let child = try #require(Self.child(of: shell.processID))
    for _ in 1...2 {
      stop(child, under: shell)
      #expect(terminal.localFlags == before)
      type("echo stopped-$((2+3))\n")
      #expect(reads("stopped-5"))
      #expect(terminal.localFlags == before)
      type("fg\n")
      #expect(eventually(seconds: 60) { isRaw })
      type("abc")
      #expect(reads("abc"))
    }
    // In the background it leaves the terminal alone, and takes it when it gets it.
    stop(child, under: shell)
    type("bg; echo moved-$((3+4))\n")
    #expect(reads("moved-7"))
    usleep(500_000)
    #expect(terminal.localFlags == before)
    type("fg\n")
    #expect(eventually(seconds: 60) { isRaw })
    write([4], to: terminal.controller)
    #expect(eventually(seconds: 60) { terminal.localFlags == before })
    type("echo over-$((4+5)); exit 0\n")
    #expect(reads("over-9"))
    #expect(shell.endsByItself() && shell.end == .status(0))
  }

  /// Returns when the shell has the terminal.
  private func stop(_ child: pid_t, under shell: Program) {
    kill(child, SIGTSTP)
    #expect(eventually(seconds: 60) { tcgetpgrp(terminal.controller) == shell.processID })
  }

  /// The shell's only job.
  private static func child(of processID: pid_t) -> pid_t? {
    let path = "/proc/\(processID)/task/\(processID)/children"
    let text = try? String(contentsOfFile: path, encoding: .utf8)
    return text?.split(separator: " ").first.flatMap { pid_t($0) }
  }
}
