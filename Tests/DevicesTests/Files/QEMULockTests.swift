import Foundation
import Testing

@testable import Devices

/// The locks of files between this program and QEMU's own programs.
@Suite(
  .timeLimit(.minutes(10)),
  .enabled(if: QEMUTool.all.allSatisfy(\.isThere), "needs qemu-io and qemu-img (qemu-utils)"))
struct QEMULockTests {
  private let image: ImageFile

  init() throws {
    image = try ImageFile([UInt8](repeating: 0, count: 1 << 20))
  }

  private func isRefused(isReadOnly: Bool) -> Bool {
    do throws(BlockStoreError) {
      _ = try RawImageStore(path: image.path, isReadOnly: isReadOnly)
      return false
    } catch {
      #expect(error == .locked(path: image.path, isReadOnly: isReadOnly))
      return true
    }
  }

  @Test("a disk that QEMU writes is not opened, not even for reading")
  func writer() throws {
    #expect(!isRefused(isReadOnly: false))
    let other = try QEMUTool.io.hold(["-f", "raw", image.path])
    #expect(isRefused(isReadOnly: false) && isRefused(isReadOnly: true))
    other.end()
    #expect(!isRefused(isReadOnly: false) && !isRefused(isReadOnly: true))
  }

  @Test("a disk that is written here: QEMU neither writes it nor changes its size")
  func ourWriter() throws {
    let store = try RawImageStore(path: image.path)
    let write = try QEMUTool.io.run(["-f", "raw", "-c", "write 0 512", image.path])
    #expect(write.status != 0)
    #expect(write.text.contains("Failed to get \"write\" lock"), "\(write.text)")
    let resize = try QEMUTool.img.run(["resize", "-f", "raw", image.path, "2M"])
    #expect(resize.status != 0)
    #expect(resize.text.contains("Failed to get \"write\" lock"), "\(resize.text)")
    #expect(try image.contents == [UInt8](repeating: 0, count: 1 << 20))
    withExtendedLifetime(store) {}
  }

  @Test("a disk that is written here is not even read where QEMU wants it to stay as it is")
  func ourWriterAndReaders() throws {
    let place = try ScratchDirectory()
    let path = place.path + "/image"
    #expect(try QEMUTool.img.run(["create", "-q", "-f", "qcow2", path, "1M"]).status == 0)
    let file = try LockedFile(path: HostPath(path), isReadOnly: false)
    let info = try QEMUTool.img.run(["info", path])
    #expect(info.status != 0)
    #expect(info.text.contains("Failed to get shared \"write\" lock"), "\(info.text)")
    #expect(try QEMUTool.img.run(["info", "--force-share", path]).status == 0)
    withExtendedLifetime(file) {}
  }

  @Test("a disk that is read here: QEMU may read it, too")
  func ourReader() throws {
    let store = try RawImageStore(path: image.path, isReadOnly: true)
    let write = try QEMUTool.io.run(["-f", "raw", "-c", "write 0 512", image.path])
    #expect(write.status != 0)
    #expect(write.text.contains("Failed to get \"write\" lock"), "\(write.text)")
    let resize = try QEMUTool.img.run(["resize", "-f", "raw", image.path, "2M"])
    #expect(resize.status != 0, "\(resize.text)")
    #expect(try QEMUTool.img.run(["info", image.path]).status == 0)
    #expect(try QEMUTool.io.run(["-r", "-f", "raw", "-c", "read 0 512", image.path]).status == 0)
    #expect(try image.contents.count == 1 << 20)
    withExtendedLifetime(store) {}
  }

  @Test("variables that QEMU writes are not opened, and those that are written here not by QEMU")
  func variables() throws {
    let place = try ScratchDirectory()
    try Data(variableVolume(blocks: 4)).write(to: URL(filePath: place.variables))
    let other = try QEMUTool.io.hold(["-f", "raw", place.variables])
    #expect(throws: FlashStoreError.locked(path: place.variables)) {
      try VariableFile(path: place.variables, template: nil)
    }
    other.end()
    let file = try VariableFile(path: place.variables, template: nil)
    let write = try QEMUTool.io.run(["-f", "raw", "-c", "write 0 512", place.variables])
    #expect(write.status != 0 && write.text.contains("Failed to get \"write\" lock"))
    #expect(try place.contents == variableVolume(blocks: 4))
    withExtendedLifetime(file) {}
  }

  @Test(
    "a whole machine of QEMU's keeps one of ours off its disk, and the other way round",
    .enabled(if: QEMUTool.system.isThere, "needs qemu-system-x86_64 (qemu-system-x86)"),
    arguments: [false, true])
  func machine(isReadOnly: Bool) throws {
    let arguments = [
      "-M", "q35,accel=tcg", "-S", "-nodefaults", "-display", "none", "-monitor", "stdio",
      "-drive",
      "file=\(image.path),format=raw,if=none,id=disk,readonly=\(isReadOnly ? "on" : "off")",
      "-device", "nvme,drive=disk,serial=one",
    ]
    // Its prompt is there before its devices are, which take the locks: only what it answers tells.
    let other = try QEMUTool.system.hold(arguments, asking: "info status", awaiting: "VM status")
    #expect(isRefused(isReadOnly: false))
    #expect(isRefused(isReadOnly: true) == !isReadOnly)
    other.end()
    let store = try RawImageStore(path: image.path, isReadOnly: isReadOnly)
    let refused = try QEMUTool.system.run(
      arguments.map { $0.replacingOccurrences(of: "readonly=on", with: "readonly=off") },
      input: "quit\n")
    #expect(refused.status != 0)
    #expect(refused.text.contains("Failed to get \"write\" lock"), "\(refused.text)")
    withExtendedLifetime(store) {}
  }
}

/// A program of QEMU's.
struct QEMUTool {
  static let io = QEMUTool(name: "qemu-io")
  static let img = QEMUTool(name: "qemu-img")
  static let system = QEMUTool(name: "qemu-system-x86_64")
  static let all = [io, img]

  let name: String

  var isThere: Bool { path != nil }

  private var path: String? {
    let directories = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
    return directories.split(separator: ":").map { "\($0)/\(name)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// Runs it to its end; gives all it wrote.
  ///
  /// - Parameter input: what it reads.
  func run(_ arguments: [String], input: String = "") throws -> (status: Int32, text: String) {
    let process = try start(arguments)
    // So little that the pipe takes it, also when nobody reads.
    process.input.fileHandleForWriting.write(Data(input.utf8))
    try process.input.fileHandleForWriting.close()
    let text = process.output.fileHandleForReading.readDataToEndOfFile()
    process.process.waitUntilExit()
    return (process.process.terminationStatus, String(decoding: text, as: UTF8.self))
  }

  /// Starts it and returns when it has its image open; it ends with `Held.end`.
  ///
  /// - Parameters:
  ///   - command: what it can answer only then.
  ///   - answer: what it writes then, and not before.
  func hold(
    _ arguments: [String], asking command: String = "read 0 512",
    awaiting answer: String = "read 512/512"
  ) throws -> Held {
    let held = try start(arguments)
    held.input.fileHandleForWriting.write(Data("\(command)\n".utf8))
    var text = ""
    while !text.contains(answer) {
      let data = held.output.fileHandleForReading.availableData
      try #require(!data.isEmpty, "\(name) ended: \(text)")
      text += String(decoding: data, as: UTF8.self)
    }
    return held
  }

  private func start(_ arguments: [String]) throws -> Held {
    let held = Held()
    held.process.executableURL = URL(filePath: try #require(path))
    held.process.arguments = arguments
    held.process.standardInput = held.input
    held.process.standardOutput = held.output
    held.process.standardError = held.output
    try held.process.run()
    return held
  }

  final class Held {
    fileprivate let process = Process()
    fileprivate let input = Pipe()
    fileprivate let output = Pipe()

    /// Not by a signal: those that the threads of tests block, its process does, too.
    func end() {
      guard process.isRunning else { return }
      input.fileHandleForWriting.write(Data("quit\n".utf8))
      try? input.fileHandleForWriting.close()
      process.waitUntilExit()
    }

    deinit { end() }
  }
}
