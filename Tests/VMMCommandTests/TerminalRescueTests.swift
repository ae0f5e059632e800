import Glibc
import HostSystem
import Testing

@testable import VMMCommand

/// In processes of their own, which end; the terminal is looked at from here.
@Suite(.timeLimit(.minutes(10))) struct TerminalRescueTests {
  private let pty: PseudoTerminal
  private let before: tcflag_t

  init() throws {
    pty = try PseudoTerminal()
    before = pty.localFlags
  }

  @Test func byATrap() async {
    await #expect(processExitsWith: .failure) { [path = pty.path as String] in
      try makeRaw(path)
      fatalError("as it should")
    }
    #expect(pty.localFlags == before)
  }

  @Test func byExit() async {
    await #expect(processExitsWith: .exitCode(5)) { [path = pty.path as String] in
      try makeRaw(path)
      exit(5)
    }
    #expect(pty.localFlags == before)
  }

  /// Not SIGSEGV and its like: with a sanitizer the process ends by the sanitizer's own handler.
  @Test(arguments: [SIGHUP, SIGQUIT, SIGABRT])
  func bySignal(signal: Int32) async {
    await #expect(processExitsWith: .signal(signal)) {
      [path = pty.path as String, signal = signal as Int32] in
      try makeRaw(path)
      kill(getpid(), signal)
      sleep(30)
    }
    #expect(pty.localFlags == before)
  }

  /// The settings are not ours any more once they were given back.
  @Test func notAfterTheConsole() async {
    await #expect(processExitsWith: .exitCode(0)) { [path = pty.path as String] in
      let descriptor = try OutputFile.open(path, O_RDWR | O_NOCTTY, named: path).release()
      let terminal = try #require(Terminal(descriptor: descriptor))
      try terminal.enterRawMode(survivesCrash: true)
      terminal.restore()
      var settings = termios()
      // SAFETY: the structure lives for the calls.
      unsafe tcgetattr(descriptor, &settings)
      settings.c_lflag &= ~tcflag_t(ECHO)
      unsafe tcsetattr(descriptor, TCSANOW, &settings)
      exit(0)
    }
    #expect(pty.localFlags & tcflag_t(ECHO) == 0)
  }
}

/// Raw mode, and nobody left who would end it: the console is never freed.
private func makeRaw(_ path: String) throws {
  let descriptor = try OutputFile.open(path, O_RDWR | O_NOCTTY, named: path).release()
  let console = try StdioConsole(streams: .init(input: descriptor, output: descriptor), onQuit: {})
  try console.start { $0.count }
  _ = unsafe Unmanaged.passRetained(console)
  var settings = termios()
  // SAFETY: the structure lives for the call.
  guard unsafe tcgetattr(descriptor, &settings) == 0, settings.c_lflag & tcflag_t(ICANON) == 0
  else { _exit(99) }
}
