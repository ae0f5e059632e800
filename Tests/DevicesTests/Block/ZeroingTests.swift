import Bytes
import Foundation
import GuestMemory
import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

/// Discards and zeroing on hosts that cannot do them, there or at all: a guest sees no failed disk.
@Suite(.timeLimit(.minutes(10))) struct ZeroingTests {
  private static let errors = [
    EINVAL, EPERM, ETXTBSY, EOPNOTSUPP, ENOSYS, EIO, EREMOTEIO, ENODEV, ENOSPC, EACCES, EBUSY,
  ]
  private static let start = 1024
  private static let count = 200 << 10

  private static func check(
    _ image: ImageFile, _ bytes: [UInt8], zeroed: [Range<Int>], _ comment: Comment
  ) throws {
    var expected = bytes
    for range in zeroed { for index in range { expected[index] = 0 } }
    #expect(try image.contents == expected, comment)
  }

  @Test("what the host refuses by fallocate is written as zeroes, or, if a discard, not done")
  func refused() throws {
    let bytes = pattern(256 << 10, seed: 5)
    for error in Self.errors {
      for mayDiscard in [true, false] {
        let image = try ImageFile(bytes)
        let calls = Recorder<FileAllocation>()
        let store = try RawImageStore(path: HostPath(image.path)) { allocation, _, _ in
          calls.append(allocation)
          return error
        }
        try store.discard(at: 512, byteCount: 4096)
        try Self.check(image, bytes, zeroed: [], "\(error)")
        try store.writeZeroes(
          at: UInt64(Self.start), byteCount: UInt64(Self.count), mayDiscard: mayDiscard)
        try Self.check(
          image, bytes, zeroed: [Self.start..<(Self.start + Self.count)], "\(error)")
        #expect(calls.values.contains(.punchHole) && calls.values.contains(.zeroRange))
      }
    }
  }

  @Test("a guest's commands end well there, and a disk that cannot be written still tells so")
  func commands() throws {
    for error in Self.errors {
      let image = try ImageFile(pattern(4 << 20, seed: 6))
      let disk = try TestDisk(RawImageStore(path: HostPath(image.path)) { _, _, _ in error })
      let queue = try disk.makePair(1)
      for flags: UInt32 in [0, 1 << 25] {
        #expect(try queue.run(.io(.writeZeroes, 10, 3000, flags: flags)).status == .success)
      }
      #expect(
        try image.contents[5120..<(5120 + 3000 * 512)].allSatisfy { $0 == 0 })
      let contents = try image.contents
      var range = [UInt8](repeating: 0, count: 16)
      range.storeLE(UInt32(8), at: 4)
      range.storeLE(UInt64(4000), at: 8)
      try disk.memory.write(range, at: GPA(0x20_0000))
      var discard = NVMeCommand.io(.datasetManagement, 0, 1)
      discard.dwords[0] = 0
      discard.dwords[1] = 4
      #expect(try queue.run(discard).status == .success)
      #expect(try image.contents == contents)
    }
  }

  @Test("zeroes that cannot be written either are told as a write that failed is")
  func full() async {
    await #expect(processExitsWith: .exitCode(0)) {
      _ = signal(SIGXFSZ, SIG_IGN)
      let bytes = pattern(64 << 10, seed: 1)
      let image = try ImageFile(bytes)
      try ProcessLimit.fileSize.set(32 << 10)
      let disk = try TestDisk(RawImageStore(path: HostPath(image.path)) { _, _, _ in EPERM })
      let queue = try disk.makePair(1)
      try DevicesTests.check(queue.run(.io(.writeZeroes, 100, 8)).status == .capacityExceeded)
      try DevicesTests.check(queue.run(.io(.writeZeroes, 8, 8)).status == .success)
      try DevicesTests.check(image.contents.suffix(32 << 10) == bytes.suffix(32 << 10))
      _exit(0)
    }
  }

  @Test("a disk of larger blocks than the guest's: whole ones by fallocate, the edges by hand")
  func granularity() throws {
    let bytes = pattern(64 << 10, seed: 8)
    // Bytes; what fallocate can do of them.
    let cases: [(Range<Int>, Range<Int>?)] = [
      (4096..<12288, 4096..<12288), (512..<12288, 4096..<12288), (512..<12800, 4096..<12288),
      (4096..<12800, 4096..<12288), (512..<1024, nil), (512..<4096, nil), (3584..<4608, nil),
      (3584..<8704, 4096..<8192), (0..<512, nil),
    ]
    for (range, inner) in cases {
      for isDiscard in [true, false] {
        let image = try ImageFile(bytes)
        let done = Recorder<Range<UInt64>>()
        let store = try RawImageStore(path: HostPath(image.path)) { allocation, descriptor, range in
          guard range.lowerBound % 4096 == 0, range.upperBound % 4096 == 0 else { return EINVAL }
          done.append(range)
          return FileAllocation.systemCall(allocation, descriptor, range)
        }
        let offset = UInt64(range.lowerBound)
        if isDiscard {
          try store.discard(at: offset, byteCount: UInt64(range.count))
        } else {
          try store.writeZeroes(at: offset, byteCount: UInt64(range.count), mayDiscard: true)
        }
        let expected = inner.map { [UInt64($0.lowerBound)..<UInt64($0.upperBound)] } ?? []
        #expect(done.values == expected, "\(range)")
        try Self.check(
          image, bytes, zeroed: isDiscard ? [inner].compactMap(\.self) : [range], "\(range)")
      }
    }
  }

  @Test("a file system that zeroes no ranges: tmpfs", .enabled(if: isTmpfs, "needs tmpfs"))
  func tmpfs() throws {
    let bytes = pattern(256 << 10, seed: 9)
    let image = try ImageFile(bytes, directory: URL(filePath: "/dev/shm"))
    let store = try RawImageStore(path: image.path)
    try store.writeZeroes(
      at: UInt64(Self.start), byteCount: UInt64(Self.count), mayDiscard: false)
    try Self.check(image, bytes, zeroed: [Self.start..<(Self.start + Self.count)], "tmpfs")
    try store.discard(at: 0, byteCount: 256 << 10)
    #expect(image.blockCount == 0)
  }

  private static let isTmpfs =
    (try? String(contentsOfFile: "/proc/self/mounts", encoding: .utf8))?
    .contains(" /dev/shm tmpfs ") == true

  @Test(
    "a block device with blocks of 4096 bytes and a guest with sectors of 512",
    .enabled(if: LoopDevice.isThere, "needs root, losetup and loop devices"))
  func realLargeBlocks() throws {
    let bytes = pattern(1 << 20, seed: 10)
    let image = try ImageFile(bytes)
    let device = try #require(LoopDevice(image.path, sectorByteCount: 4096))
    let errors = Recorder<Int32>()
    let store = try RawImageStore(path: HostPath(device.path)) { allocation, descriptor, range in
      let error = FileAllocation.systemCall(allocation, descriptor, range)
      errors.append(error)
      return error
    }
    let disk = try TestDisk(store)
    let queue = try disk.makePair(1)
    for (first, count) in [(1, 1), (9, 30), (64, 16), (100, 500)] as [(UInt64, Int)] {
      for flags: UInt32 in [0, 1 << 25] {
        #expect(
          try queue.run(.io(.writeZeroes, first, count, flags: flags)).status == .success)
      }
    }
    #expect(try queue.run(.io(.flush, 0, 1)).status == .success)
    let zeroed = [(1, 1), (9, 30), (64, 16), (100, 500)].map {
      ($0.0 * 512)..<(($0.0 + $0.1) * 512)
    }
    try Self.check(image, bytes, zeroed: zeroed, "by hand and by the device")
    // What the device says, as here, and not only what was thought up above.
    #expect(errors.values.contains(EINVAL) && errors.values.contains(0))
  }
}

/// An image as a block device, by the kernel's loop driver.
private final class LoopDevice {
  static let isThere: Bool = {
    guard let image = try? ImageFile([UInt8](repeating: 0, count: 1 << 20)) else { return false }
    return LoopDevice(image.path, sectorByteCount: 4096) != nil
  }()

  let path: String

  init?(_ image: String, sectorByteCount: Int) {
    guard
      let text = try? Self.losetup(["-f", "--show", "-b", "\(sectorByteCount)", image]),
      text.hasPrefix("/dev/")
    else { return nil }
    path = text.trimmingCharacters(in: .newlines)
  }

  deinit {
    _ = try? Self.losetup(["-d", path])
  }

  private static func losetup(_ arguments: [String]) throws -> String {
    try Program.run("/usr/sbin/losetup", arguments, keepsErrors: false).text
  }
}
