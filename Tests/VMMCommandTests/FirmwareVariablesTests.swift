import Bytes
import MachineSpecification
import Testing

@testable import DeviceKit
@testable import Devices
@testable import VMMCommand

/// Combinations of firmware and variables that the firmware would never save to: refused before
/// anything is made, in one line.
@Suite struct FirmwareVariablesTests {
  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
    try directory.write(code(type: 0x78), to: "CODE.fd")
    try directory.write(code(type: 0x78), to: "other.fd")
    try directory.write(code(type: 0x8D), to: "whole.fd")
    try directory.write(volume(blocks: 3), to: "VARS.fd")
  }

  /// A volume of that many blocks with empty variables.
  private func volume(blocks: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xFF, count: blocks * 4096)
    bytes.replaceSubrange(0..<0x60, with: [UInt8](repeating: 0, count: 0x60))
    bytes.storeLE(0x4C8B_7696_FFF1_2B8D as UInt64, at: 0x10)
    bytes.storeLE(0x504F_5B07_4727_85A9 as UInt64, at: 0x18)
    bytes.storeLE(UInt64(bytes.count), at: 0x20)
    bytes.replaceSubrange(0x28..<0x2C, with: Array("_FVH".utf8))
    bytes.storeLE(0x48 as UInt16, at: 0x30)
    bytes.storeLE(UInt32(blocks), at: 0x38)
    bytes.storeLE(4096 as UInt32, at: 0x3C)
    return bytes
  }

  /// An image that begins with a volume of code, or, of type 0x8D, of variables.
  private func code(type: UInt8) -> [UInt8] {
    var bytes = volume(blocks: 2)
    bytes[0x10] = type
    bytes[bytes.count - 16] = 0xEA
    return bytes
  }

  private func image(_ line: String) throws {
    let words = line.split(separator: " ").map { word in
      word.hasPrefix("@") ? directory.path(String(word.dropFirst())) : String(word)
    }
    guard case .run(let options) = try Invocation(["run"] + words),
      case .computer(let computer) = options.machine.guest
    else { return }
    _ = try computer.image(RateLimitedDiagnostics())
  }

  private func expect(_ line: String, _ expected: FlashStoreError) {
    let error = #expect(throws: FlashStoreError.self) { try image(line) }
    #expect(error == expected, "\(line)")
    #expect(error?.description.contains("\n") == false)
  }

  @Test("no template beside the image: for a new file, and for one whose layout nothing tells")
  func noTemplate() throws {
    try directory.write(volume(blocks: 3), to: "v.fd")
    let new = directory.path("new.fd")
    let old = directory.path("v.fd")
    for more in ["", " --no-persist"] {
      expect("--firmware @other.fd --vars @new.fd\(more)", .noTemplate(path: new))
      expect("--firmware @other.fd --vars @v.fd\(more)", .unknownLayout(path: old))
    }
    try image("--firmware @other.fd --vars @v.fd --vars-template @VARS.fd")
    #expect(try directory.names() == ["CODE.fd", "VARS.fd", "other.fd", "v.fd", "whole.fd"])
  }

  @Test("a store of another size, another layout, another kind, whether changes are kept or not")
  func otherStores() throws {
    try directory.write(volume(blocks: 4), to: "large.fd")
    var divided = volume(blocks: 3)
    divided.storeLE(2048 as UInt32, at: 0x3C)
    try directory.write(divided, to: "divided.fd")
    for more in ["", " --no-persist"] {
      expect(
        "--firmware @CODE.fd --vars @large.fd\(more)",
        .size(path: directory.path("large.fd"), byteCount: 16384, expected: 12288))
      expect(
        "--firmware @CODE.fd --vars @divided.fd\(more)",
        .layout(path: directory.path("divided.fd")))
      expect(
        "--firmware @CODE.fd --vars @CODE.fd --vars-template @VARS.fd\(more)",
        .size(path: directory.path("CODE.fd"), byteCount: 8192, expected: 12288))
    }
    expect(
      "--firmware @CODE.fd --vars @v.fd --vars-template @CODE.fd",
      .notVariables(path: directory.path("CODE.fd")))
    try image("--firmware @CODE.fd --vars @v.fd")
    #expect(try directory.bytes("v.fd") == volume(blocks: 3))
  }

  @Test("a template that is none of this image's, where the image's own is there")
  func otherTemplates() throws {
    try directory.write(volume(blocks: 4), to: "large.fd")
    let large = directory.path("large.fd")
    for more in ["", " --vars @new.fd", " --vars @large.fd"] {
      expect(
        "--firmware @CODE.fd --vars-template @large.fd\(more)",
        .size(path: large, byteCount: 16384, expected: 12288))
    }
    // A broken one says nothing; nor does one that is not there.
    try directory.write([1, 2, 3], to: "VARS.fd")
    for name in ["CODE.fd", "other.fd"] {
      try image("--firmware @\(name) --vars-template @large.fd --vars @\(name).vars")
      #expect(try directory.bytes("\(name).vars") == volume(blocks: 4))
    }
  }

  @Test("an image that has its variables in it keeps none in a file")
  func insideImage() throws {
    let image = directory.path("whole.fd")
    expect(
      "--firmware @whole.fd --vars @v.fd --vars-template @VARS.fd",
      .insideImage(path: directory.path("v.fd"), image: image))
    expect(
      "--firmware @whole.fd --vars-template @VARS.fd",
      .insideImage(path: directory.path("VARS.fd"), image: image))
    try self.image("--firmware @whole.fd")
    #expect(try directory.names() == ["CODE.fd", "VARS.fd", "other.fd", "whole.fd"])
  }
}
