import Foundation
import Testing

@testable import Devices

@Suite struct VariableFileTests {
  private let directory: URL
  private var path: String { directory.appending(path: "vars.fd").path }

  init() throws {
    directory = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  /// A volume of that many blocks whose header says that it has all of them.
  private func volume(blocks: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xFF, count: blocks * 4096)
    bytes.storeLE(UInt64(bytes.count), at: 0x20)
    bytes.replaceSubrange(0x28..<0x2C, with: Array("_FVH".utf8))
    return bytes
  }

  private func contents() throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

  @Test("a new file is the template, and nothing else is left in its directory")
  func creation() throws {
    let template = volume(blocks: 3)
    let file = try VariableFile(path: path, template: template)
    #expect(file.initialBytes == template)
    #expect(try contents() == template)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["vars.fd"])
  }

  @Test("changes are in the file when the call returns, and are there the next time")
  func changes() throws {
    let template = volume(blocks: 2)
    do {
      let file = try VariableFile(path: path, template: template)
      try file.write([1, 2, 3], at: 5000)
      var expected = template
      expected.replaceSubrange(5000..<5003, with: [1, 2, 3])
      #expect(try contents() == expected)
      try file.flush()
    }
    let again = try VariableFile(path: path, template: template)
    #expect(Array(again.initialBytes[5000..<5003]) == [1, 2, 3])
  }

  @Test("one machine at a time")
  func lock() throws {
    let file = try VariableFile(path: path, template: volume(blocks: 1))
    #expect(throws: FlashStoreError.locked(path: path)) {
      try VariableFile(path: path, template: nil)
    }
    withExtendedLifetime(file) {}
  }

  @Test("without a file and without a template there is nothing to start with")
  func noTemplate() throws {
    let error = FlashStoreError.noTemplate(path: path)
    #expect(throws: error) { try VariableFile(path: path, template: nil) }
    #expect(error.description.contains("--vars-template"))
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test("files that are no store of variables are refused and stay as they are")
  func refused() throws {
    var cut = volume(blocks: 2)
    cut.removeLast(4096)
    var long = volume(blocks: 1)
    long.storeLE(UInt64.max, at: 0x20)
    let odd = Array(volume(blocks: 1).dropLast())
    for bytes in [[], [UInt8](repeating: 0, count: 4096), cut, long, odd] {
      try Data(bytes).write(to: URL(filePath: path))
      #expect(throws: FlashStoreError.notVariables(path: path)) {
        try VariableFile(path: path, template: nil)
      }
      #expect(try contents() == bytes)
    }
  }

  @Test("variables of another firmware's size are refused")
  func size() throws {
    try Data(volume(blocks: 1)).write(to: URL(filePath: path))
    let error = FlashStoreError.size(path: path, byteCount: 4096, expected: 8192)
    #expect(throws: error) { try VariableFile(path: path, template: volume(blocks: 2)) }
    #expect(error.description.contains("4096") && error.description.contains("8192"))
  }

  @Test("a place that cannot be written to")
  func noPlace() throws {
    let error = #expect(throws: FlashStoreError.self) {
      try VariableFile(path: "/proc/vars.fd", template: volume(blocks: 1))
    }
    #expect(try #require(error).description.contains("/proc/vars.fd"))
    #expect(throws: FlashStoreError.kind(path: "/dev/null")) {
      try VariableFile(path: "/dev/null", template: nil)
    }
  }
}
