internal import Glibc

/// The guest's console: its bytes on standard output, unchanged and at once.
enum ConsoleOutput {
  static func write(_ byte: UInt8) {
    var byte = byte
    while true {
      // SAFETY: one byte, which lives for the call.
      let count = unsafe Glibc.write(STDOUT_FILENO, &byte, 1)
      // A reader that has gone away must not end the guest: the byte is lost.
      if count >= 0 || errno != EINTR { return }
    }
  }
}
