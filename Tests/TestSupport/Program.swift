internal import Foundation

/// A program that is not ours, run to its end.
package enum Program {
  /// Runs it, with its output and errors in one text.
  ///
  /// - Parameters:
  ///   - path: of its file.
  ///   - keepsErrors: whether what it writes to standard error is in the text.
  package static func run(
    _ path: String, _ arguments: [String], keepsErrors: Bool = true
  ) throws -> (status: Int32, text: String) {
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    let output = Pipe()
    process.standardOutput = output
    process.standardError = keepsErrors ? output : FileHandle.nullDevice as Any
    try process.run()
    // Before the wait, so that the pipe does not fill up.
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }
}
