import Glibc
import HostSystem
import Testing

@testable import VMMCommand

/// A pseudo-terminal: `descriptor` behaves as a user's terminal does.
final class PseudoTerminal: Sendable {
  let controller: Int32
  let descriptor: Int32
  let path: String

  init() throws {
    controller = try OutputFile.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC, named: "ptmx")
      .release()
    // TIOCSPTLCK and TIOCGPTN, which are macros that are not imported.
    try Self.control(controller, 0x4004_5431, 0)
    let number = try Self.control(controller, 0x8004_5430, 0)
    path = "/dev/pts/\(number)"
    descriptor = try OutputFile.open(path, O_RDWR | O_NOCTTY | O_CLOEXEC, named: "pts").release()
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
