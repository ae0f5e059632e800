import Foundation
import Testing

@testable import Devices

@Suite struct RawImageStoreTests {
  @Test("a second machine that writes is refused, and told why; two that read are not")
  func locking() throws {
    let image = try ImageFile(pattern(4096, seed: 1))
    let first = try RawImageStore(path: image.path)
    #expect(first.byteCount == 4096 && !first.isReadOnly)
    for isReadOnly in [false, true] {
      let error = BlockStoreError.locked(path: image.path, isReadOnly: isReadOnly)
      #expect(throws: error) { try RawImageStore(path: image.path, isReadOnly: isReadOnly) }
      #expect(error.description.contains("in use by another program"))
    }
    withExtendedLifetime(first) {}
  }

  @Test("the lock ends with the store; readers share it and keep a writer out")
  func sharing() throws {
    let image = try ImageFile(pattern(512, seed: 1))
    do { _ = try RawImageStore(path: image.path) }
    let readers = try (0..<2).map { _ in try RawImageStore(path: image.path, isReadOnly: true) }
    #expect(throws: BlockStoreError.locked(path: image.path, isReadOnly: false)) {
      try RawImageStore(path: image.path)
    }
    #expect(throws: BlockStoreError.readOnly) { try readers[0].discard(at: 0, byteCount: 512) }
    try readers[1].flush()
  }

  @Test("sizes that are no sectors", arguments: [0, 1, 511, 513, 1000])
  func sizes(byteCount: Int) throws {
    let image = try ImageFile(pattern(byteCount, seed: 1))
    for sectorByteCount: UInt64 in [512, 4096] {
      let error = BlockStoreError.size(
        path: image.path, byteCount: UInt64(byteCount), sectorByteCount: sectorByteCount)
      #expect(throws: error) {
        try RawImageStore(path: image.path, sectorByteCount: sectorByteCount)
      }
      #expect(error.description.contains("has \(byteCount) bytes"))
      #expect(!error.description.contains("truncate"))
    }
  }

  @Test("blocks of 4096 bytes need an image of whole ones")
  func largeSectors() throws {
    let image = try ImageFile(pattern(8192 + 512, seed: 1))
    #expect(try RawImageStore(path: image.path).sectorByteCount == 512)
    let error = BlockStoreError.size(
      path: image.path, byteCount: 8704, sectorByteCount: 4096)
    #expect(throws: error) { try RawImageStore(path: image.path, sectorByteCount: 4096) }
    #expect(error.description.hasSuffix("which is no multiple of its block size, 4096"))
    image.truncate(8192)
    #expect(try RawImageStore(path: image.path, sectorByteCount: 4096).sectorByteCount == 4096)
  }

  @Test("what is no disk")
  func kinds() throws {
    #expect(throws: BlockStoreError.kind(path: "/dev/null")) {
      try RawImageStore(path: "/dev/null")
    }
    let missing = BlockStoreError.open(path: "/missing/disk", operation: "open", errno: ENOENT)
    #expect(throws: missing) { try RawImageStore(path: "/missing/disk") }
    #expect(missing.description.hasPrefix("open of disk image /missing/disk: No such file"))
  }

  @Test("zeroes are there, discarded or written by hand", arguments: [true, false])
  func zeroes(mayDiscard: Bool) throws {
    let bytes = pattern(256 << 10, seed: 5)
    let image = try ImageFile(bytes)
    let store = try RawImageStore(path: image.path)
    try store.writeZeroes(at: 1024, byteCount: 200 << 10, mayDiscard: mayDiscard)
    let now = try image.contents
    #expect(now[..<1024] == bytes[..<1024])
    #expect(now[1024..<(1024 + 200 << 10)].allSatisfy { $0 == 0 })
    #expect(now[(1024 + 200 << 10)...] == bytes[(1024 + 200 << 10)...])
  }

  @Test("errors that mean no space, and what a guest is told of each")
  func statuses() {
    let full = BlockStoreError.system(operation: "pwrite", offset: 0, byteCount: 1, errno: ENOSPC)
    let broken = BlockStoreError.system(operation: "pread", offset: 0, byteCount: 1, errno: EIO)
    #expect(full.isOutOfSpace && !broken.isOutOfSpace)
    #expect(NVMeStatus(full, isRead: false) == .capacityExceeded)
    #expect(NVMeStatus(broken, isRead: true) == .unrecoveredReadError)
    #expect(NVMeStatus(broken, isRead: false) == .writeFault)
    #expect(NVMeStatus(.readOnly, isRead: false) == .writeToReadOnlyRange)
    #expect(NVMeStatus.writeFault.rawValue == 0x280)
    #expect(NVMeStatus.invalidField.rawValue == 0x4002)
  }
}
