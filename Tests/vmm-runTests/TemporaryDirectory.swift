import FoundationEssentials

/// A directory of one test's own, removed with it.
final class TemporaryDirectory: Sendable {
  private let root: String

  init() throws {
    root = FileManager.default.temporaryDirectory.path + "/vmm-run-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: root)
  }

  func path(_ name: String) -> String {
    root + "/" + name
  }

  func contents(_ name: String) throws -> String {
    try String(contentsOfFile: path(name), encoding: .utf8)
  }

  func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: root).sorted()
  }
}
