import Foundation
import GuestMemory
import HostSystem
import TestSupport

@testable import Devices

/// A disk of zeroes whose reads wait until the gate opens, and whose writes find no space.
final class GatedStore: BlockStore {
  let byteCount: UInt64 = 1 << 20
  let isReadOnly = false
  private let gate = Guarded(Gate())

  private struct Gate {
    var isOpen = false
    var passCount = 0
    var waitingCount = 0

    /// Whether a read goes on; one that does not is counted as waiting until it does.
    mutating func pass(isWaiting: Bool) -> Bool {
      let mayPass = isOpen || passCount > 0
      if mayPass, !isOpen { passCount -= 1 }
      if isWaiting, mayPass { waitingCount -= 1 }
      if !isWaiting, !mayPass { waitingCount += 1 }
      return mayPass
    }
  }

  /// Reads that found the gate closed, and sleep.
  var waitingCount: Int { gate.withLock { $0.waitingCount } }

  func open() {
    gate.withLock { $0.isOpen = true }
  }

  func close() {
    gate.withLock { $0.isOpen = false }
  }

  /// Lets a read through that waits, or the next to come, and waits until it has gone.
  func letOneThrough() {
    gate.withLock { $0.passCount += 1 }
    while gate.withLock({ $0.passCount > 0 }) { TestThreads.nap(microseconds: 100) }
  }

  /// Waits until so many reads wait.
  func waitFor(_ count: Int) {
    while waitingCount < count { TestThreads.nap(microseconds: 100) }
  }

  func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    var isWaiting = false
    while !gate.withLock({ $0.pass(isWaiting: isWaiting) }) {
      isWaiting = true
      TestThreads.nap(microseconds: 100)
    }
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
