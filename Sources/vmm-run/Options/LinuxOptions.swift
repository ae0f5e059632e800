/// The kernel of `run --kernel`, and what it is started with.
struct LinuxOptions: Equatable, Sendable {
  var kernelPath: String
  var initrdPath: String?
  /// The kernel's command line; nil when none was given, which leaves it to the caller.
  var commandLine: String?

  init(kernelPath: String) {
    self.kernelPath = kernelPath
  }

  init(kernelPath: String, _ parsed: ParsedOptions) {
    self.kernelPath = kernelPath
    initrdPath = parsed.text(.initrd)
    commandLine = parsed.text(.append)
  }
}
