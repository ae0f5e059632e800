import Foundation

/// A file without a name, gone when closed.
final class ScratchFile {
  let descriptor: Int32

  init(_ bytes: [UInt8]) throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("guest-memory-\(UUID().uuidString)").path
    guard FileManager.default.createFile(atPath: path, contents: Data(bytes)) else {
      throw CocoaError(.fileWriteUnknown)
    }
    descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
    try FileManager.default.removeItem(atPath: path)
    guard descriptor >= 0 else { throw CocoaError(.fileReadUnknown) }
  }

  deinit {
    _ = close(descriptor)
  }

  /// Bytes of the file.
  func contents(_ byteCount: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe pread(descriptor, $0.baseAddress, byteCount, 0)
    }
    return Array(bytes.prefix(max(0, count)))
  }
}
