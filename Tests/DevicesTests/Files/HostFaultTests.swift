import Bytes
import Foundation
import GuestMemory
import HostSystem
import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

/// Files on a host with limits and signals, each in a process of its own.
@Suite(.timeLimit(.minutes(10))) struct HostFaultTests {
  @Test("a disk larger than files may be: what lies beyond is full, the rest works")
  func diskBeyondFileSizeLimit() async {
    await #expect(processExitsWith: .exitCode(0)) {
      _ = signal(SIGXFSZ, SIG_IGN)
      let bytes = pattern(64 << 10, seed: 1)
      let image = try ImageFile(bytes)
      try ProcessLimit.fileSize.set(32 << 10)
      let disk = try TestDisk(RawImageStore(path: image.path))
      let queue = try disk.makePair(1)
      // Sector 64 is the first one beyond; the second command begins before it.
      for (first, count) in [(64, 1), (60, 8), (127, 1)] as [(UInt64, Int)] {
        try check(queue.run(.io(.write, first, count)).status == .capacityExceeded)
      }
      try check(queue.run(.io(.write, 0, 64)).status == .success)
      try check(queue.run(.io(.read, 100, 8, prp1: 0x30_0000)).status == .success)
      try check(
        disk.memory.read(at: GPA(0x30_0000), byteCount: 4096)
          == Array(bytes[51200..<(51200 + 4096)]))
      try check(queue.run(.io(.flush, 0, 1)).status == .success)
      try check(image.contents.prefix(32 << 10).allSatisfy { $0 == 0 })
      try check(image.contents.suffix(32 << 10) == bytes.suffix(32 << 10))
      _exit(0)
    }
  }

  @Test("variables larger than files may be: the guest finds a failed change and the old byte")
  func flashBeyondFileSizeLimit() async {
    await #expect(processExitsWith: .exitCode(0)) {
      _ = signal(SIGXFSZ, SIG_IGN)
      let place = try ScratchDirectory()
      let template = variableVolume(blocks: 4)
      let file = try VariableFile(path: place.variables, template: template)
      let failures = Recorder<FlashStoreError>()
      let chip = try FlashChip(store: file) { failures.append($0) }
      chip.reset { _ in }
      try ProcessLimit.fileSize.set(8192)
      chip.program(0x12, at: 8192)
      try check(chip.read(offset: 8192, width: 1) == 0x90)
      chip.write(offset: 8192, width: 1, value: 0x50)
      chip.program(0x12, at: 8191)
      try check(chip.read(offset: 8191, width: 1) == 0x80)
      chip.write(offset: 0, width: 1, value: 0xFF)
      var expected = template
      expected[8191] = 0x12
      try check(chip.contents.read(at: 0, byteCount: template.count) == expected)
      try check(place.contents == expected)
      try check(failures.values.count == 1 && "\(failures.values)".contains("pwrite"))
      _exit(0)
    }
  }

  @Test("a new file of variables that does not fit is not there, nor is its draft")
  func noRoomForNewVariables() async {
    await #expect(processExitsWith: .exitCode(0)) {
      _ = signal(SIGXFSZ, SIG_IGN)
      let place = try ScratchDirectory()
      try ProcessLimit.fileSize.set(4096)
      do {
        _ = try VariableFile(path: place.variables, template: variableVolume(blocks: 2))
        _exit(2)
      } catch let error as FlashStoreError {
        try check(
          error == .system(operation: "pwrite", path: place.variables, errno: EFBIG))
      }
      try check(place.names == [])
      try ProcessLimit.fileSize.set(nil)
      _ = try VariableFile(path: place.variables, template: variableVolume(blocks: 2))
      try check(place.names == ["vars.fd"])
      _exit(0)
    }
  }

  @Test("a directory that this user may not write to")
  func readOnlyDirectory() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let place = try ScratchDirectory()
      try check(unsafe chmod(place.path, 0o555) == 0)
      // Rights do not bind root.
      if getuid() == 0 { try check(setuid(65534) == 0) }
      do {
        _ = try VariableFile(path: place.variables, template: variableVolume(blocks: 1))
        _exit(2)
      } catch let error as FlashStoreError {
        try check(
          error == .system(operation: "create", path: place.variables, errno: EACCES))
      }
      _exit(0)
    }
  }

  /// Linux lets few calls on files end early; what can is repeated, and nothing else may notice.
  @Test("a storm of signals during reads, writes, zeroing and flushes changes nothing")
  func signalStorm() async {
    await #expect(processExitsWith: .exitCode(0)) {
      // Before the disk's threads are made, which inherit what this one blocks.
      try ProcessSignals.unblock(SIGALRM)
      let image = try ImageFile(pattern(1 << 20, seed: 1))
      let disk = try TestDisk(RawImageStore(path: image.path))
      let queue = try disk.makePair(1)
      let place = try ScratchDirectory()
      let file = try VariableFile(path: place.variables, template: variableVolume(blocks: 2))
      let signals = try startSignals()
      var model = try image.contents
      for index in 0..<1000 {
        let bytes = pattern(8192, seed: UInt64(index))
        let sector = UInt64(index * 7 % 2000)
        let range = Int(sector * 512)..<(Int(sector * 512) + 8192)
        try disk.memory.write(bytes, at: GPA(0x20_0000))
        let command = NVMeCommand.io(
          index % 5 == 0 ? .writeZeroes : .write, sector, 16, prp2: 0x20_1000,
          flags: index % 50 == 0 ? 1 << 30 : 0)
        try check(queue.run(command).status == .success)
        model.replaceSubrange(
          range, with: index % 5 == 0 ? [UInt8](repeating: 0, count: 8192) : bytes)
        let read = NVMeCommand.io(.read, sector, 16, prp1: 0x30_0000, prp2: 0x30_1000)
        try check(queue.run(read).status == .success)
        try check(disk.memory.read(at: GPA(0x30_0000), byteCount: 8192) == Array(model[range]))
        try file.write(Array(bytes.prefix(512)), at: 4096 + index % 8 * 512)
        if index % 50 == 0 { try file.flush() }
      }
      try check(queue.run(.io(.flush, 0, 1)).status == .success)
      try check(signals() > 100)
      try check(image.contents == model)
      try check(
        Array(place.contents[(4096 + 7 * 512)...]) == pattern(512, seed: 999))
      _exit(0)
    }
  }
}

struct CheckFailure: Error {}

/// What an exit test expects: a failure ends its process with a status that no test here asks for.
func check(_ condition: @autoclosure () throws -> Bool, line: Int = #line) throws {
  if try !condition() {
    let text = "check failed in line \(line)\n"
    FileHandle.standardError.write(Data(text.utf8))
    throw CheckFailure()
  }
}

/// Has all threads of this process interrupted, again and again; gives what counts the rounds.
private func startSignals() throws -> () -> Int {
  var action = sigaction()
  unsafe action.__sigaction_handler.sa_handler = { _ in }
  // No SA_RESTART: calls end with EINTR.
  action.sa_flags = 0
  try check(unsafe sigaction(SIGALRM, &action, nil) == 0)
  let count = Recorder<Bool>()
  let process = getpid()
  let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
    .compactMap { Int32($0) }
  _ = try HostThread {
    while true {
      for thread in threads { _ = signalThread(process, thread, SIGALRM) }
      count.append(true)
      TestThreads.nap(microseconds: 100)
    }
  }
  return { count.values.count }
}

/// tgkill(2), which glibc has and does not declare without `_GNU_SOURCE`.
@_silgen_name("tgkill")
private func signalThread(_ process: Int32, _ thread: Int32, _ signal: Int32) -> Int32

/// A directory of one test's own, removed with it if it still may be.
final class ScratchDirectory: Sendable {
  let path: String
  var variables: String { path + "/vars.fd" }

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/faults-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
  }

  var contents: [UInt8] {
    get throws { [UInt8](try Data(contentsOf: URL(fileURLWithPath: variables))) }
  }
}

/// Blocks of variables whose header says that it has all of them.
func variableVolume(blocks: Int) -> [UInt8] {
  var bytes = [UInt8](repeating: 0xFF, count: blocks * 4096)
  bytes.storeLE(UInt64(bytes.count), at: 0x20)
  bytes.replaceSubrange(0x28..<0x2C, with: Array("_FVH".utf8))
  // gEfiSystemNvDataFvGuid.
  bytes.storeLE(0x4C8B_7696_FFF1_2B8D as UInt64, at: 0x10)
  bytes.storeLE(0x504F_5B07_4727_85A9 as UInt64, at: 0x18)
  bytes.storeLE(0x48 as UInt16, at: 0x30)
  // The block map, and the size of the store of variables in the volume.
  bytes.storeLE(UInt32(blocks), at: 0x38)
  bytes.storeLE(4096 as UInt32, at: 0x3C)
  bytes.storeLE(0 as UInt64, at: 0x40)
  bytes.storeLE(UInt32(bytes.count - 0x48), at: 0x58)
  return bytes
}

extension FlashChip {
  func program(_ byte: UInt8, at offset: UInt64) {
    write(offset: offset, width: 1, value: 0x10)
    write(offset: offset, width: 1, value: UInt64(byte))
  }

  func erase(_ offset: UInt64) {
    write(offset: offset, width: 1, value: 0x20)
    write(offset: offset, width: 1, value: 0xD0)
  }
}
