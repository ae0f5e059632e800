import Glibc
import Testing

@testable import vmm_run

@Suite struct TerminalTests {
  /// A pseudo-terminal: `descriptor` behaves as a user's terminal does.
  private final class PseudoTerminal {
    let controller: Int32
    let descriptor: Int32

    init() throws {
      controller = try OutputFile.open("/dev/ptmx", O_RDWR | O_NOCTTY, named: "ptmx")
      // TIOCSPTLCK and TIOCGPTN, which are macros that are not imported.
      try Self.control(controller, 0x4004_5431, 0)
      let number = try Self.control(controller, 0x8004_5430, 0)
      descriptor = try OutputFile.open("/dev/pts/\(number)", O_RDWR | O_NOCTTY, named: "pts")
    }

    @discardableResult
    private static func control(
      _ descriptor: Int32, _ request: UInt, _ value: Int32
    ) throws -> Int32 {
      var value = value
      // SAFETY: both requests take a pointer to an int, which lives for the call.
      let result = unsafe withUnsafeMutablePointer(to: &value) { pointer in
        unsafe ioctl(descriptor, request, UnsafeMutableRawPointer(pointer))
      }
      try #require(result == 0)
      return value
    }

    deinit {
      close(controller)
      close(descriptor)
    }

    var localFlags: tcflag_t {
      var settings = termios()
      // SAFETY: the structure lives for the call.
      unsafe tcgetattr(descriptor, &settings)
      return settings.c_lflag
    }
  }

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

  @Test func aFileIsNoTerminal() throws {
    let descriptor = try OutputFile.open("/dev/null", O_RDWR, named: "null")
    defer { close(descriptor) }
    #expect(Terminal(descriptor: descriptor) == nil)
  }
}
