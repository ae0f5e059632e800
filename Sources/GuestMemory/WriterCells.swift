internal import CLinux
internal import Glibc
internal import Synchronization
internal import ZeroTracker

/// How many writers are inside a gate: a cell for each thread that writes, which it alone changes, and a
/// few that all other threads share.
///
/// Sendable: the memory is there as long as self; a cell is initialised before its number is published and
/// changed by atomic operations only.
@safe
final class WriterCells: @unchecked Sendable {
  /// A pointer to a number of writers.
  typealias Cell = UnsafeMutablePointer<Atomic<Int>>

  /// As many bytes apart: CPUs fetch cache lines of 64 bytes in pairs.
  private static let stride = 128
  private static let sharedCount = 16

  private let base: UnsafeMutableRawPointer
  private let ownCount: Int
  /// Own cells that have a thread, never fewer than before.
  private let usedCount = Atomic<Int>(0)
  /// Their threads, in the cells' order.
  private let owners = Guarded<[pthread_t]>([])

  /// - Parameter ownCount: how many threads may have a cell of their own.
  init(ownCount: Int) {
    self.ownCount = ownCount
    // Pages that nobody uses stay absent.
    unsafe base = .allocate(
      byteCount: (Self.sharedCount + ownCount) * Self.stride, alignment: Self.stride)
    for index in 0..<Self.sharedCount { initializeCell(index) }
  }

  deinit {
    // Integers need no deinitialisation.
    unsafe base.deallocate()
  }

  /// The shared cell for this thread, always the same.
  func sharedCell() -> Cell {
    // Threads' control blocks are page aligned or nearly so; the bits above tell them apart.
    let thread = UInt(pthread_self())
    return unsafe cell(Int((thread >> 12 ^ thread >> 20) % UInt(Self.sharedCount)))
  }

  /// This thread's own cell; nil once all are taken.
  ///
  /// A thread keeps its cell for good. One that is gone leaves it to the next with the same identity.
  func ownCell() -> Cell? {
    let thread = pthread_self()
    let index: Int? = owners.withLock { owners in
      if let index = owners.firstIndex(of: thread) { return index }
      guard owners.count < ownCount else { return nil }
      initializeCell(Self.sharedCount + owners.count)
      owners.append(thread)
      // Before the thread's first entry, so that who looks at its cell at all looks at it in time.
      usedCount.store(owners.count, ordering: .sequentiallyConsistent)
      return owners.count - 1
    }
    guard let index else { return nil }
    return unsafe cell(Self.sharedCount + index)
  }

  /// Whether nobody is inside; meaningful only while nobody can come in.
  var areAllZero: Bool {
    for index in 0..<(Self.sharedCount + usedCount.load(ordering: .sequentiallyConsistent))
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
    // SAFETY: within the allocation, aligned, and nobody else has this cell yet.
    unsafe (base + index * Self.stride).bindMemory(to: Atomic<Int>.self, capacity: 1)
      .initialize(to: Atomic(0))
  }
}
