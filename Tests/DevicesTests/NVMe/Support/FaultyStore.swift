import Foundation
import GuestMemory
import HostSystem
import TestSupport

@testable import Devices

/// A disk in memory with a volatile write cache, that fails, is slow or is stuck when it is told
/// to.
final class FaultyStore: BlockStore {
  enum Operation: Hashable, Sendable {
    case read, write, flush, discard, writeZeroes
  }

  private struct State: Sendable {
    var volatile: [UInt8]
    var durable: [UInt8]
    var failures: [Operation: BlockStoreError] = [:]
    /// Calls that go well before the failure.
    var patience = 0
    var isStuck = false
    var stuckCount = 0
    var calls: [Operation: Int] = [:]
    var byteCount = 0
  }

  let byteCount: UInt64
  let isReadOnly = false
  private let state: Guarded<State>

  init(_ bytes: [UInt8]) {
    byteCount = UInt64(bytes.count)
    state = Guarded(State(volatile: bytes, durable: bytes))
  }

  /// What reads find, and what would be left after a loss of power.
  var contents: [UInt8] { state.withLock { $0.volatile } }
  var durable: [UInt8] { state.withLock { $0.durable } }
  /// Bytes read and written.
  var transferredByteCount: Int { state.withLock { $0.byteCount } }
  var stuckCount: Int { state.withLock { $0.stuckCount } }

  func callCount(_ operation: Operation) -> Int {
    state.withLock { $0.calls[operation, default: 0] }
  }

  /// From the call after `patience` good ones on.
  func fail(_ operation: Operation, _ error: BlockStoreError?, after patience: Int = 0) {
    state.withLock {
      $0.failures[operation] = error
      $0.patience = patience
    }
  }

  /// Whether calls wait.
  func stick(_ isStuck: Bool) {
    state.withLock { $0.isStuck = isStuck }
  }

  func waitForStuck(_ count: Int) {
    while stuckCount < count { TestThreads.nap(microseconds: 100) }
  }

  private func begin(_ operation: Operation) throws(BlockStoreError) {
    state.withLock { $0.stuckCount += 1 }
    while state.withLock({ $0.isStuck }) { TestThreads.nap(microseconds: 50) }
    try state.withLock { state throws(BlockStoreError) in
      state.stuckCount -= 1
      state.calls[operation, default: 0] += 1
      guard let error = state.failures[operation] else { return }
      guard state.patience == 0 else {
        state.patience -= 1
        return
      }
      throw error
    }
  }

  func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    try begin(.read)
    let bytes = state.withLock { state in
      state.byteCount += byteCount
      return Array(state.volatile[Int(offset)..<(Int(offset) + byteCount)])
    }
    do { try memory.write(bytes, at: address) } catch { throw .transfer(offset: offset, error) }
  }

  func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    try begin(.write)
    let bytes: [UInt8]
    do {
      bytes = try memory.read(at: address, byteCount: byteCount)
    } catch {
      throw .transfer(offset: offset, error)
    }
    change(at: offset, bytes)
    state.withLock { $0.byteCount += byteCount }
  }

  func flush() throws(BlockStoreError) {
    try begin(.flush)
    state.withLock { $0.durable = $0.volatile }
  }

  func discard(at offset: UInt64, byteCount: UInt64) throws(BlockStoreError) {
    try begin(.discard)
    change(at: offset, [UInt8](repeating: 0, count: Int(byteCount)))
  }

  func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError) {
    try begin(.writeZeroes)
    change(at: offset, [UInt8](repeating: 0, count: Int(byteCount)))
  }

  private func change(at offset: UInt64, _ bytes: [UInt8]) {
    state.withLock {
      $0.volatile.replaceSubrange(Int(offset)..<(Int(offset) + bytes.count), with: bytes)
    }
  }
}

extension BlockStoreError {
  /// A call that the system answered with an error number.
  static func host(_ errno: Int32) -> BlockStoreError {
    .system(operation: "call", offset: 0, byteCount: 512, errno: errno)
  }

  /// A file that is shorter than it was.
  static let short = BlockStoreError.transfer(
    offset: 0, .fileEnded(GPA(0), byteCount: 512, transferredByteCount: 1))
}
