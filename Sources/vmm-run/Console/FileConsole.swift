import Glibc

/// Console output in a file, which is emptied first; there is no input.
///
/// A file that cannot be written, on a full disk for instance, does not stop the guest: that is
/// reported once, and the file ends there.
final class FileConsole: ConsoleBackend {
  private let descriptor: Int32
  private let stopSignal: StopSignal
  private let writer: ConsoleWriter

  /// - Parameter report: Receives the first failure to write.
  init(
    path: String, report: @escaping @Sendable (SystemError) -> Void = { Diagnostics.report($0) }
  ) throws(SystemError) {
    stopSignal = try StopSignal()
    // Not to wait for the other end of a pipe, nor to make a terminal the controlling one.
    descriptor = try OutputFile.open(
      path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, named: path)
    writer = ConsoleWriter(
      descriptor: descriptor, name: path, neverBlocks: true, stopSignal: stopSignal,
      report: report)
  }

  deinit {
    close(descriptor)
  }

  func write(_ bytes: [UInt8]) {
    writer.write(bytes)
  }

  func start(input: @escaping @Sendable ([UInt8]) -> Int) {}

  func stop() {
    stopSignal.raise()
  }
}
