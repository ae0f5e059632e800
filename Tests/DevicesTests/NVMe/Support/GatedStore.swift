import Foundation
import GuestMemory
import HostSystem
import Synchronization
import TestSupport

@testable import Devices

/// A disk of zeroes whose reads wait until the gate opens, and whose writes find no space.
final class GatedStore: BlockStore {
  let byteCount: UInt64 = 1 << 20
  let isReadOnly = false
  private let isOpen = Guarded(false)
  private let passes = Guarded(0)
  private let waiting = Atomic<Int>(0)

  var waitingCount: Int { waiting.load(ordering: .relaxed) }

  func open() {
    isOpen.withLock { $0 = true }
  }

  func close() {
    isOpen.withLock { $0 = false }
  }

  /// One read that waits, or the next to come.
  func letOneThrough() {
    passes.withLock { $0 += 1 }
  }

  private func mayPass() -> Bool {
    isOpen.withLock { $0 }
      || passes.withLock { passes in
        guard passes > 0 else { return false }
        passes -= 1
        return true
      }
  }

  /// Waits until so many reads wait.
  func waitFor(_ count: Int) {
    while waitingCount < count { TestThreads.nap(microseconds: 100) }
  }

  func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    waiting.add(1, ordering: .relaxed)
    while !mayPass() { TestThreads.nap(microseconds: 100) }
    waiting.subtract(1, ordering: .relaxed)
  }

  func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    throw .system(operation: "pwrite", offset: offset, byteCount: 1, errno: ENOSPC)
  }

  func flush() throws(BlockStoreError) {
    throw .system(operation: "fdatasync", offset: 0, byteCount: 0, errno: EIO)
  }

  func discard(at offset: UInt64, byteCount: UInt64) throws(BlockStoreError) {}

  func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError) {}
}
