import Glibc
import HostSystem
import Testing

@testable import VMMCommand

@Suite struct TerminalTests {
  @Test func rawModeIsEnteredAndLeft() throws {
    let pty = try PseudoTerminal()
    let terminal = try #require(Terminal(descriptor: pty.descriptor))
    let before = pty.localFlags
    #expect(before & tcflag_t(ECHO | ICANON) == tcflag_t(ECHO | ICANON))
    try terminal.withRawMode {
      #expect(pty.localFlags & tcflag_t(ECHO | ICANON) == 0)
      #expect(pty.localFlags & tcflag_t(ISIG) != 0)
      // A second call must not save the raw settings as the ones to return to.
      try terminal.enterRawMode()
    }
    #expect(pty.localFlags == before)
    struct Failure: Error {}
    #expect(throws: Failure.self) { try terminal.withRawMode { throw Failure() } }
    #expect(pty.localFlags == before)
    try Terminal(descriptor: pty.descriptor)?.enterRawMode()
    #expect(pty.localFlags == before, "restored with the last reference")
    terminal.restore()
    #expect(pty.localFlags == before)
  }

  @Test func signalsFromTheKeyboardCanBeTheGuests() throws {
    let pty = try PseudoTerminal()
    let terminal = try #require(Terminal(descriptor: pty.descriptor))
    let before = pty.localFlags
    try terminal.enterRawMode(keepsSignals: false)
    #expect(pty.localFlags & tcflag_t(ISIG | ECHO | ICANON) == 0)
    terminal.restore()
    #expect(pty.localFlags == before)
  }

  @Test func aFileIsNoTerminal() throws {
    let descriptor = try OutputFile.open("/dev/null", O_RDWR, named: "null").release()
    defer { close(descriptor) }
    #expect(Terminal(descriptor: descriptor) == nil)
  }
}
