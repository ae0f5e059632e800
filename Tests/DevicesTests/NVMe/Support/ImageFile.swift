import Foundation

/// A disk image with a path, gone with the object.
final class ImageFile: Sendable {
  let path: String

  init(
    _ bytes: [UInt8], directory: URL = FileManager.default.temporaryDirectory
  ) throws {
    path = directory.appendingPathComponent("disk-\(UUID().uuidString)").path
    guard FileManager.default.createFile(atPath: path, contents: Data(bytes)) else {
      throw CocoaError(.fileWriteUnknown)
    }
  }

  deinit {
    _ = unsafe unlink(path)
  }

  var contents: [UInt8] {
    get throws { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }
  }

  /// Blocks of 512 bytes that the host gave it.
  var blockCount: Int {
    var status = stat()
    _ = unsafe stat(path, &status)
    return Int(status.st_blocks)
  }

  func truncate(_ byteCount: Int) {
    _ = unsafe Foundation.truncate(path, byteCount)
  }
}
