/// Console output in a file; there is no input.
///
/// A file that cannot be written, on a full disk for instance, does not stop the guest: that is
/// reported once, and the file ends there.
final class FileConsole: ConsoleBackend {
  private let file: LogFile
  private let writer: ConsoleWriter

  /// - Parameter report: Receives the first failure to write.
  init(
    _ file: LogFile, patience: OutputPatience = .ofProcess,
    report: @escaping @Sendable (SystemError) -> Void = { Diagnostics.report($0) }
  ) {
    self.file = file
    writer = ConsoleWriter(file.writer(patience), report: report)
  }

  func write(_ bytes: [UInt8]) {
    writer.write(bytes)
  }

  func start(input: @escaping @Sendable ([UInt8]) -> Int) throws(SystemError) {
    try file.begin()
  }

  func stop() {}
}
