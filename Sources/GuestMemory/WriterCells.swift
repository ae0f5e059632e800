internal import CLinux
internal import Glibc
internal import HostSystem
internal import Synchronization

/// How many writers are inside a gate: a cell for each thread that writes, which it alone changes.
///
/// Sendable: the memory is there as long as self; a cell is initialised before its number is
/// published and changed by atomic operations only.
@safe
final class WriterCells: @unchecked Sendable {
  /// A pointer to a number of writers.
  typealias Cell = UnsafeMutablePointer<Atomic<Int>>

  /// As many bytes apart: CPUs fetch cache lines of 64 bytes in pairs.
  private static let stride = 128

  /// `unused`, then those of threads.
  private let base: UnsafeMutableRawPointer
  private let count: Int
  /// Cells that have a thread, never fewer than before.
  private let usedCount = Atomic<Int>(0)
  /// Their threads, in the cells' order.
  private let owners = Guarded<[pthread_t]>([])

  /// - Parameter count: how many threads may have a cell.
  init(count: Int) {
    self.count = count
    // Pages of cells without a thread stay absent.
    unsafe base = .allocate(byteCount: (1 + count) * Self.stride, alignment: Self.stride)
    initializeCell(0)
  }

  deinit {
    // Integers need no deinitialisation.
    unsafe base.deallocate()
  }

  /// A cell of no thread, which no discard looks at: threads without one store to it instead, so
  /// that leaving takes no branch.
  var unused: Cell { unsafe cell(0) }

  /// This thread's own cell; nil once all are taken.
  ///
  /// A thread keeps its cell for good. One that is gone leaves it to the next with the same
  /// identity.
  func ownCell() -> Cell? {
    let thread = pthread_self()
    let index: Int? = owners.withLock { owners in
      if let index = owners.firstIndex(of: thread) { return index }
      guard owners.count < count else { return nil }
      initializeCell(1 + owners.count)
      owners.append(thread)
      // Before the thread's first entry, so that a discard that it could meet looks at its cell.
      usedCount.store(owners.count, ordering: .sequentiallyConsistent)
      return owners.count - 1
    }
    guard let index else { return nil }
    return unsafe cell(1 + index)
  }

  /// Whether no writer is inside; meaningful only while none can come in.
  var areAllZero: Bool {
    for index in 1..<(1 + usedCount.load(ordering: .sequentiallyConsistent))
    where unsafe cell(index).pointee.load(ordering: .sequentiallyConsistent) != 0 {
      return false
    }
    return true
  }

  private func cell(_ index: Int) -> Cell {
    // SAFETY: within the allocation; `initializeCell` bound it.
    unsafe (base + index * Self.stride).assumingMemoryBound(to: Atomic<Int>.self)
  }

  private func initializeCell(_ index: Int) {
    // SAFETY: within the allocation, aligned, and no other thread has this cell yet.
    unsafe (base + index * Self.stride).bindMemory(to: Atomic<Int>.self, capacity: 1)
      .initialize(to: Atomic(0))
  }
}
