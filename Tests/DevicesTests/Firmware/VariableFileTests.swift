import Bytes
import Foundation
import Testing

@testable import DeviceKit
@testable import Devices

@Suite struct VariableFileTests {
  private let directory: URL
  private var path: String { directory.appending(path: "vars.fd").path }

  init() throws {
    directory = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
  }

  private func contents() throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

  @Test("a new file is the template, and nothing else is left in its directory")
  func creation() throws {
    let template = variableVolume(blocks: 3)
    let file = try VariableFile(path: path, template: template)
    #expect(file.initialBytes == template)
    #expect(try contents() == template)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["vars.fd"])
  }

  @Test("changes are in the file when the call returns, and are there the next time")
  func changes() throws {
    let template = variableVolume(blocks: 2)
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
    let file = try VariableFile(path: path, template: variableVolume(blocks: 1))
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
    var cut = variableVolume(blocks: 2)
    cut.removeLast(4096)
    var long = variableVolume(blocks: 1)
    long.storeLE(UInt64.max, at: 0x20)
    let odd = Array(variableVolume(blocks: 1).dropLast())
    for bytes in [[], [UInt8](repeating: 0, count: 4096), cut, long, odd] {
      try Data(bytes).write(to: URL(filePath: path))
      #expect(throws: FlashStoreError.notVariables(path: path)) {
        try VariableFile(path: path, template: nil)
      }
      #expect(try contents() == bytes)
    }
  }

  @Test("a store that is divided in another way is refused, and stays as it is")
  func layout() throws {
    // The size of the blocks, their number, the store's size within the volume, the volume's size.
    for offset in [0x3C, 0x38, 0x58, 0x20] {
      var other = variableVolume(blocks: 3)
      other[offset + 1] ^= 0x10
      try Data(other).write(to: URL(filePath: path))
      let error = #expect(throws: FlashStoreError.self) {
        try VariableFile(path: path, template: variableVolume(blocks: 3))
      }
      #expect(error == .layout(path: path), "byte \(offset + 1)")
      #expect(error?.description.contains("is divided in another way than this firmware's") == true)
      #expect(try contents() == other)
    }
    // What firmware wrote, and flags that differ between its versions, are no layout.
    var written = variableVolume(blocks: 3)
    written[0x2C] = 0xFE
    written[0x2000] = 0x12
    try Data(written).write(to: URL(filePath: path))
    #expect(
      try VariableFile(path: path, template: variableVolume(blocks: 3)).initialBytes == written)
  }

  @Test("a volume of code is no store of variables, a qcow2 image is named")
  func otherFiles() throws {
    var code = variableVolume(blocks: 2)
    code[0x10] = 0x78
    try Data(code).write(to: URL(filePath: path))
    #expect(throws: FlashStoreError.notVariables(path: path)) {
      try VariableFile(path: path, template: variableVolume(blocks: 2))
    }
    var foreign = variableVolume(blocks: 1)
    foreign.replaceSubrange(0..<8, with: [0x51, 0x46, 0x49, 0xFB, 0, 0, 0, 3])
    try Data(foreign).write(to: URL(filePath: path))
    let error = #expect(throws: FlashStoreError.self) {
      try VariableFile(path: path, template: variableVolume(blocks: 2))
    }
    #expect(
      error?.description
        == "\(path) is a qcow2 image, not raw; convert it (qemu-img convert -f qcow2 -O raw "
        + "\(path) \(path).raw)")
    #expect(try contents() == foreign)
  }

  /// File systems that lack a way to give a file its name.
  private static let poorFileSystems: [(String, Int32, FileNamingCalls)] = {
    var cases: [(String, Int32, FileNamingCalls)] = []
    for error in [EPERM, ENOSYS, EOPNOTSUPP, EMLINK, EXDEV] {
      var calls = FileNamingCalls.system
      calls.link = { _, _ in error }
      cases.append(("no hard links", error, calls))
    }
    for error in [EINVAL, ENOSYS, EOPNOTSUPP] {
      var calls = FileNamingCalls.system
      calls.link = { _, _ in EPERM }
      calls.renameExclusively = { _, _ in error }
      cases.append(("nor exclusive renaming", error, calls))
    }
    return cases
  }()

  @Test("file systems without hard links: a new file is made all the same, and no draft is left")
  func withoutLinks() throws {
    for (name, error, calls) in Self.poorFileSystems {
      let template = variableVolume(blocks: 2)
      do {
        let file = try VariableFile(path: HostPath(path), template: template, namingCalls: calls)
        #expect(file.initialBytes == template)
        try file.write([7], at: 5000)
      }
      #expect(try contents()[5000] == 7, "\(name), error \(error)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["vars.fd"])
      try FileManager.default.removeItem(atPath: path)
    }
  }

  @Test("file systems without hard links: what another program made meanwhile stays")
  func othersFile() throws {
    for (name, error, calls) in Self.poorFileSystems {
      // The first call finds no file; by the time the second one looks there is one.
      let path = path
      var other = variableVolume(blocks: 2)
      other[5000] = 9
      let theirs = other
      var calls = calls
      let link = calls.link
      calls.link = { from, to in
        try? Data(theirs).write(to: URL(filePath: path))
        return link(from, to)
      }
      let file = try VariableFile(
        path: HostPath(path), template: variableVolume(blocks: 2), namingCalls: calls)
      #expect(file.initialBytes[5000] == 9, "\(name), error \(error)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["vars.fd"])
      try FileManager.default.removeItem(atPath: path)
    }
  }

  @Test("a file that cannot get its name leaves nothing")
  func noName() throws {
    var calls = FileNamingCalls.system
    calls.link = { _, _ in EIO }
    calls.renameExclusively = { _, _ in EIO }
    let error = #expect(throws: FlashStoreError.self) {
      try VariableFile(
        path: HostPath(path), template: variableVolume(blocks: 1), namingCalls: calls)
    }
    #expect(error == .system(operation: "link", path: path, errno: EIO))
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
  }

  @Test("variables of another firmware's size are refused")
  func size() throws {
    try Data(variableVolume(blocks: 1)).write(to: URL(filePath: path))
    let error = FlashStoreError.size(path: path, byteCount: 4096, expected: 8192)
    #expect(throws: error) { try VariableFile(path: path, template: variableVolume(blocks: 2)) }
    #expect(error.description.contains("4096") && error.description.contains("8192"))
  }

  @Test("a place that cannot be written to")
  func noPlace() throws {
    let error = #expect(throws: FlashStoreError.self) {
      try VariableFile(path: "/proc/vars.fd", template: variableVolume(blocks: 1))
    }
    #expect(try #require(error).description.contains("/proc/vars.fd"))
    #expect(throws: FlashStoreError.kind(path: "/dev/null")) {
      try VariableFile(path: "/dev/null", template: nil)
    }
  }
}
