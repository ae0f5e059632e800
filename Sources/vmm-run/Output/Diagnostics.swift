import Glibc

/// What `vmm-run` says about itself on standard error.
enum Diagnostics {
  static let prefix = "vmm-run: "

  /// One message, one line, one write: messages of several threads or processes do not mix, and no
  /// name of a file makes two of one.
  static func line(_ message: some CustomStringConvertible) -> String {
    prefix + ArgumentText.printable(message.description) + "\n"
  }

  /// A failure to write is ignored: there is nowhere left to say so.
  static func report(_ message: some CustomStringConvertible) {
    try? OutputFile.write(line(message), to: STDERR_FILENO, named: "standard error")
  }
}
