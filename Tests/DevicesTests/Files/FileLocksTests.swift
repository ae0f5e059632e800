import Foundation
import HostSystem
import Sandbox
import Synchronization
import TestSupport
import Testing

@testable import Devices

/// Locks of files, with system calls that fail as those of some file systems do.
@Suite struct FileLocksTests {
  /// Calls that do not wait for a lock: where a refusal is what has to come.
  private static func impatient(_ calls: FileLockCalls = .system) -> FileLockCalls {
    var calls = calls
    calls.nap = {}
    return calls
  }

  @Test("a file system without locks of a kind: the disk is opened, and what is missing is said")
  func noLocks() throws {
    let image = try ImageFile(pattern(1024, seed: 1))
    for error in [ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL] {
      var calls = FileLockCalls.system
      calls.lockWhole = { _, _ in error }
      let store = try RawImageStore(path: HostPath(image.path), lockCalls: calls)
      #expect(store.lockGap == FileLockGap(operation: "flock", errno: error))
      // The other kind is there, and was taken.
      #expect(throws: BlockStoreError.locked(path: image.path, isReadOnly: false)) {
        try RawImageStore(path: HostPath(image.path), lockCalls: Self.impatient(calls))
      }
      #expect(throws: BlockStoreError.locked(path: image.path, isReadOnly: false)) {
        try RawImageStore(path: HostPath(image.path), lockCalls: Self.impatient())
      }
      withExtendedLifetime(store) {}
    }
    for error in [ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL] {
      var calls = FileLockCalls.system
      calls.shareByte = { _, _ in error }
      let store = try RawImageStore(path: HostPath(image.path), isReadOnly: true, lockCalls: calls)
      #expect(store.lockGap == FileLockGap(operation: "fcntl(F_OFD_SETLK)", errno: error))
      #expect(throws: BlockStoreError.locked(path: image.path, isReadOnly: false)) {
        try RawImageStore(path: HostPath(image.path), lockCalls: Self.impatient(calls))
      }
      calls.shareByte = FileLockCalls.system.shareByte
      calls.testByte = { _, _ in error }
      let second = try RawImageStore(path: HostPath(image.path), isReadOnly: true, lockCalls: calls)
      #expect(second.lockGap == FileLockGap(operation: "fcntl(F_OFD_GETLK)", errno: error))
      withExtendedLifetime(store) {}
    }
    let without = FileLockCalls(
      lockWhole: { _, _ in ENOSYS }, shareByte: { _, _ in ENOLCK }, testByte: { _, _ in ENOLCK })
    let both = try (0..<2).map { _ in
      try RawImageStore(path: HostPath(image.path), lockCalls: without)
    }
    #expect(
      both[1].lockGap?.description
        == "its file system has no locks (fcntl(F_OFD_SETLK): No locks available (ENOLCK))")
    let other = try ImageFile(pattern(512, seed: 1))
    #expect(try RawImageStore(path: other.path).lockGap == nil)
  }

  /// As after a move that failed: somebody else was faster.
  @Test("a disk that is taken up again is waited for in the sandbox")
  func takenUpConfined() throws {
    let image = try ImageFile(pattern(1024, seed: 1))
    let store = try RawImageStore(path: HostPath(image.path))
    store.letGo()
    let other = try RawImageStore(path: HostPath(image.path))
    var policy = SandboxPolicy()
    (policy.servesControl, policy.migrates) = (true, true)
    let thread = RoleThread(.service, policy: policy)
    thread.run {
      #expect(throws: BlockStoreError.locked(path: image.path, isReadOnly: false)) {
        try store.takeUp()
      }
      return
    }
    withExtendedLifetime(other) {}
  }

  /// As of a process that was just started and holds copies of descriptors until it is another
  /// program.
  @Test("a lock that is held for a moment is waited for, one of a program is not for long")
  func patience() throws {
    let image = try ImageFile(pattern(1024, seed: 1))
    let holder = Mutex<LockedFile?>(try LockedFile(path: HostPath(image.path), isReadOnly: false))
    let naps = Atomic(0)
    var calls = FileLockCalls.system
    calls.nap = {
      let count = naps.add(1, ordering: .relaxed).newValue
      if count == 5 { holder.withLock { $0 = nil } }
    }
    let store = try RawImageStore(path: HostPath(image.path), lockCalls: calls)
    #expect(naps.load(ordering: .relaxed) == 5)
    #expect(store.lockGap == nil)
    let more = Atomic(0)
    calls.nap = { more.add(1, ordering: .relaxed) }
    #expect(throws: BlockStoreError.locked(path: image.path, isReadOnly: false)) {
      try RawImageStore(path: HostPath(image.path), lockCalls: calls)
    }
    #expect(more.load(ordering: .relaxed) == 99)
    withExtendedLifetime(store) {}
  }

  @Test("a failure that says nothing of locks is an error")
  func failure() throws {
    let image = try ImageFile(pattern(1024, seed: 1))
    var calls = FileLockCalls.system
    calls.lockWhole = { _, _ in EIO }
    #expect(throws: BlockStoreError.open(path: image.path, operation: "flock", errno: EIO)) {
      try RawImageStore(path: HostPath(image.path), lockCalls: calls)
    }
    calls = .system
    calls.shareByte = { _, _ in EBADF }
    let error = BlockStoreError.open(
      path: image.path, operation: "fcntl(F_OFD_SETLK)", errno: EBADF)
    #expect(throws: error) { try RawImageStore(path: HostPath(image.path), lockCalls: calls) }
  }

  @Test("another program's lock of a single byte, as QEMU takes it")
  func bytes() throws {
    let image = try ImageFile(pattern(1024, seed: 1))
    // Byte; whether it keeps out one that writes, and one that reads.
    let cases: [(Int64, Bool, Bool)] = [
      (100, false, false), (101, true, true), (102, false, false), (103, true, true),
      (200, true, true), (201, true, false), (202, false, false), (203, false, false),
      (0, false, false), (99, false, false), (104, false, false), (204, false, false),
    ]
    for (byte, keepsWriterOut, keepsReaderOut) in cases {
      let other = try LockedFile(
        path: HostPath(image.path), isReadOnly: true,
        lockCalls: FileLockCalls(
          lockWhole: { _, _ in 0 }, shareByte: { _, _ in 0 }, testByte: { _, _ in 0 }))
      #expect(FileLockCalls.system.shareByte(other.descriptor, byte) == 0)
      for (isReadOnly, isKeptOut) in [(false, keepsWriterOut), (true, keepsReaderOut)] {
        let store = try? RawImageStore(
          path: HostPath(image.path), isReadOnly: isReadOnly,
          lockCalls: isKeptOut ? Self.impatient() : .system)
        #expect((store == nil) == isKeptOut, "byte \(byte), read-only \(isReadOnly)")
      }
      withExtendedLifetime(other) {}
    }
  }

  @Test("a FIFO is no disk, and nobody waits for its other end", arguments: [true, false])
  func fifo(isReadOnly: Bool) throws {
    let place = try ScratchDirectory()
    let path = place.path + "/fifo"
    #expect(unsafe mkfifo(path, 0o600) == 0)
    #expect(throws: BlockStoreError.kind(path: path)) {
      try RawImageStore(path: path, isReadOnly: isReadOnly)
    }
  }
}
