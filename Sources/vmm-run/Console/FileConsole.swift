/// Console output in a file; there is no input.
///
/// A file that cannot be written, on a full disk for instance, does not stop the guest: that is
/// reported once, and the file ends there.
final class FileConsole: ConsoleBackend {
  private let file: LogFile
  private let stopSignal: StopSignal
  private let writer: ConsoleWriter

  /// - Parameter report: Receives the first failure to write.
  init(
    _ file: LogFile, stopSignal: StopSignal,
    report: @escaping @Sendable (SystemError) -> Void = { Diagnostics.report($0) }
  ) {
    self.file = file
    self.stopSignal = stopSignal
    writer = ConsoleWriter(
      descriptor: file.descriptor, name: file.path, neverBlocks: true, stopSignal: stopSignal,
      report: report)
  }

  func write(_ bytes: [UInt8]) {
    writer.write(bytes)
  }

  func start(input: @escaping @Sendable ([UInt8]) -> Int) throws(SystemError) {
    try file.begin()
  }

  func stop() {
    stopSignal.raise()
  }
}
