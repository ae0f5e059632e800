import Foundation
import HostSystem
import Testing

@testable import Devices

/// Images that are made because they are not there.
@Suite struct NewImageTests {
  private let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
    "new-image-\(UUID())")

  init() throws {
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  private func make(_ name: String, _ byteCount: UInt64) throws -> [FileAttributeKey: Any] {
    let path = directory.appendingPathComponent(name).path
    try RawImageStore.makeImage(at: HostPath(path), byteCount: byteCount)
    return try FileManager.default.attributesOfItem(atPath: path)
  }

  @Test("one that is not there, and what an end between two calls left")
  func new() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    #expect(try make("a", 1 << 40)[.size] as? UInt64 == 1 << 40)
    try Data().write(to: directory.appendingPathComponent("b"))
    #expect(try make("b", 1 << 20)[.size] as? UInt64 == 1 << 20)
    // All of it reads as zero, and takes no space.
    let store = try RawImageStore(
      path: HostPath(directory.appendingPathComponent("a").path), isReadOnly: false)
    #expect(store.byteCount == 1 << 40)
  }

  @Test("what is there stays as it is")
  func existing() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    try Data([1, 2, 3]).write(to: directory.appendingPathComponent("a"))
    #expect(try make("a", 1 << 20)[.size] as? UInt64 == 3)
  }

  @Test("a directory that is not there")
  func failure() throws {
    defer { try? FileManager.default.removeItem(at: directory) }
    let error = #expect(throws: BlockStoreError.self) { try make("x/a", 1 << 20) }
    #expect(error?.description.contains("create of disk image") == true)
  }
}
