internal import CLinux
internal import Glibc
internal import Synchronization

/// Lets many writers in at once, or one discard alone.
///
/// A writer is between its mark and its last byte while it is inside. A discard runs while nobody is
/// inside: every writer has then either finished, and its bytes are discarded with the rest, or not
/// begun, and it will mark after the discard made the chunk untouched.
///
/// Why both cannot be inside: a writer raises its counter, then looks at `isClosed`; a discard sets
/// `isClosed`, then looks at the counters. If neither order is turned round at least one of the two sees
/// the other; it steps back and tries again. The discard steps back fully, so a writer that nests inside
/// another of the same thread never waits for a discard that waits for the outer one.
///
/// What keeps the orders: in a discard, membarrier(2), which is a full barrier in all threads at once. A
/// writer that raised its counter before it is seen; one that did so after it sees `isClosed`, as it
/// looks later still. So writers need no barrier but the compiler's, and no locked operation, which
/// would cost more than all else in a write of a page. (Threads without a cell of their own, and
/// processes that have no membarrier, use locked operations on both sides.)
///
/// A writer leaves by a release store: whoever sees it gone sees its bytes. Discards are rare and poll; a
/// writer that meets one sleeps in short steps.
final class WriterGate: Sendable {
  /// A writer inside: what `leave` needs.
  @safe
  struct Pass {
    fileprivate let cell: WriterCells.Cell
    /// What the thread's own cell had before; nil for a shared one.
    fileprivate let depth: Int?
  }

  /// Numbers gates from 1, never the same twice: threads remember them longer than they live.
  private static let lastNumber = Atomic<UInt64>(0)

  private let number = lastNumber.add(1, ordering: .relaxed).newValue
  private let cells: WriterCells
  private let isClosed = Atomic<Bool>(false)
  /// A full barrier in all threads, or nothing where no writer needs one.
  private let barrier: @Sendable () -> Void
  /// One discard at a time.
  private let discards = Mutex(())

  /// - Parameter ownCellCount: how many threads may write without locked operations. More than any guest
  ///   has vCPUs and disks; a process that makes threads over and over uses them up, and its later ones
  ///   share.
  convenience init(ownCellCount: Int = 240) {
    if Membarrier.isAvailable {
      self.init(WriterCells(ownCount: ownCellCount), barrier: Membarrier.synchronize)
    } else {
      self.init(WriterCells(ownCount: 0), barrier: {})
    }
  }

  init(_ cells: WriterCells, barrier: @escaping @Sendable () -> Void) {
    self.cells = cells
    self.barrier = barrier
  }

  /// Runs `body` as a writer. May nest.
  @inline(__always)
  func write<R: ~Copyable, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    let pass = enter()
    defer { leave(pass) }
    return try body()
  }

  @inline(__always)
  private func enter() -> Pass {
    let writer = unsafe clinux_this_writer()
    if unsafe writer.pointee.gate == number, let cell = unsafe writer.pointee.cell {
      let pass = unsafe raise(cell.assumingMemoryBound(to: Atomic<Int>.self))
      // Nested: the outer writer keeps discards away, or one would wait for it and it for this one.
      if pass.depth != 0 || !isClosed.load(ordering: .acquiring) { return pass }
      leave(pass)
    }
    return enterSlowly()
  }

  @inline(__always)
  private func leave(_ pass: Pass) {
    if let depth = pass.depth {
      unsafe pass.cell.pointee.store(depth, ordering: .releasing)
    } else {
      unsafe pass.cell.pointee.subtract(1, ordering: .sequentiallyConsistent)
    }
  }

  /// Raises the counter of the thread's own cell.
  @inline(__always)
  private func raise(_ cell: WriterCells.Cell) -> Pass {
    let depth = unsafe cell.pointee.load(ordering: .relaxed)
    unsafe cell.pointee.store(depth &+ 1, ordering: .relaxed)
    clinux_compiler_barrier()
    return unsafe Pass(cell: cell, depth: depth)
  }

  /// Finds the thread's cell, and waits while the gate is closed.
  @inline(never)
  private func enterSlowly() -> Pass {
    let own = unsafe cells.ownCell()
    if let own = unsafe own {
      unsafe clinux_this_writer().pointee = clinux_writer(gate: number, cell: own)
    }
    let shared = unsafe cells.sharedCell()
    while true {
      let pass: Pass
      if let own = unsafe own {
        pass = unsafe raise(own)
      } else {
        unsafe shared.pointee.add(1, ordering: .sequentiallyConsistent)
        pass = unsafe Pass(cell: shared, depth: nil)
      }
      if pass.depth ?? 0 != 0 || !isClosed.load(ordering: .sequentiallyConsistent) { return pass }
      leave(pass)
      while isClosed.load(ordering: .acquiring) { pause(microseconds: 20) }
    }
  }

  /// Runs `body` while no writer is inside.
  ///
  /// - Returns: nil if writers stayed inside for `timeoutMilliseconds`; `body` was not run. So it is,
  ///   too, if the caller itself is a writer.
  func discard<R>(timeoutMilliseconds: Int, _ body: () -> R) -> R? {
    discards.withLock { _ in
      let deadline = ContinuousClock.now + .milliseconds(timeoutMilliseconds)
      while true {
        isClosed.store(true, ordering: .sequentiallyConsistent)
        barrier()
        let result: R? = becomesEmpty() ? body() : nil
        isClosed.store(false, ordering: .sequentiallyConsistent)
        if let result { return result }
        guard ContinuousClock.now < deadline else { return nil }
        pause(microseconds: 100)
      }
    }
  }

  /// Waits a moment for the writers inside to leave; new ones stay out, nested ones wait too, so it must
  /// not wait for long.
  private func becomesEmpty() -> Bool {
    for _ in 0..<50 {
      if cells.areAllZero { return true }
      _ = sched_yield()
    }
    return false
  }

  private func pause(microseconds: UInt32) {
    _ = usleep(microseconds)
  }
}
