internal import CLinux
internal import Synchronization

/// Lets many writers in at once, or one discard alone.
///
/// A writer is inside between its mark and its last byte. A discard runs while no writer is inside:
/// every writer has then either finished, and its bytes are discarded with the rest, or not begun,
/// and it will mark after the discard made the chunk untouched.
///
/// Writers of most threads have a counter of their own, a cell (`WriterCells`), and enter and leave
/// without a locked operation, which would cost more than all else in a write of a page. The other
/// threads share a count in `state`: those that came when all cells were taken, and all of a
/// process without membarrier(2).
///
/// Why no writer is inside while a discard runs, and why none of them sleeps for ever, is in
/// docs/memory-ordering.md, "The gate". The steps marked (E) enter, (L) leave, (C) close and (O)
/// open are named there.
final class WriterGate: Sendable {
  /// A writer inside: what `leave` needs.
  @safe
  struct Pass {
    /// The thread's own; for threads that share a count `WriterCells.unused`.
    fileprivate let cell: WriterCells.Cell
    /// What the cell had before.
    fileprivate let depth: Int
  }

  /// The bits of `state`. It is 0 nearly always, and writers look no further then.
  private enum State {
    /// A discard runs, or waits for writers to leave.
    static let closed: UInt32 = 1 << 0
    /// Writers sleep until it is opened.
    static let awaited: UInt32 = 1 << 1
    /// One writer without a cell, nested ones included; the bits above count them.
    static let sharer: UInt32 = 1 << 2
    /// All those that count.
    static let sharers: UInt32 = ~(closed | awaited)
  }

  /// Numbers gates from 1, never the same twice: threads remember them longer than they live.
  private static let lastNumber = Atomic<UInt64>(0)

  private let number = lastNumber.add(1, ordering: .relaxed).newValue
  private let cells: WriterCells
  private let state = FutexWord()
  /// Counts writers that left while the gate was closed: the discard sleeps on it. It wraps, which
  /// does no harm: a discard that slept through 2^32 of them would sleep until the next.
  private let departures = FutexWord()
  /// A full barrier in all threads, or nothing where no writer needs one.
  private let barrier: @Sendable () -> Void
  /// One discard at a time.
  private let discards = Mutex(())

  /// - Parameter ownCellCount: how many threads may write without locked operations. More than any
  ///   guest has vCPUs and disks; a process that makes threads over and over uses them up, and its
  ///   later ones share.
  convenience init(ownCellCount: Int = 240) {
    if Membarrier.isAvailable {
      self.init(WriterCells(count: ownCellCount), barrier: Membarrier.synchronize)
    } else {
      self.init(WriterCells(count: 0), barrier: {})
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

  /// Whether a discard runs, or waits for writers to leave.
  var isClosed: Bool { state.load() & State.closed != 0 }

  /// Whether writers sleep until it is opened, or are about to.
  var isAwaited: Bool { state.load() & State.awaited != 0 }

  // MARK: Writers

  @inline(__always)
  private func enter() -> Pass {
    let writer = unsafe clinux_this_writer()
    // A thread that remembers this gate remembers its cell.
    if unsafe writer.pointee.gate == number {
      let cell = unsafe writer.pointee.cell.unsafelyUnwrapped.assumingMemoryBound(
        to: Atomic<Int>.self)
      let pass = unsafe raise(cell)  // (E1)
      if state.load() == 0 { return pass }  // (E2)
      return enterOwn(pass)
    }
    return enterSlowly()
  }

  @inline(__always)
  private func leave(_ pass: Pass) {
    // The release makes the writer's bytes visible to every thread that sees that it left.
    unsafe pass.cell.pointee.store(pass.depth, ordering: .releasing)  // (L1)
    clinux_compiler_barrier()
    if state.load() != 0 { leaveSlowly(pass) }  // (L2)
  }

  /// Raises the counter of the thread's own cell.
  @inline(__always)
  private func raise(_ cell: WriterCells.Cell) -> Pass {
    let depth = unsafe cell.pointee.load(ordering: .relaxed)
    unsafe cell.pointee.store(depth &+ 1, ordering: .relaxed)
    clinux_compiler_barrier()
    return unsafe Pass(cell: cell, depth: depth)
  }

  /// Finds the thread's cell.
  @inline(never)
  private func enterSlowly() -> Pass {
    guard let own = unsafe cells.ownCell() else {
      enterAsSharer()
      return unsafe Pass(cell: cells.unused, depth: 0)
    }
    unsafe clinux_this_writer().pointee.gate = number
    unsafe clinux_this_writer().pointee.cell = UnsafeMutableRawPointer(own)
    return enterOwn(unsafe raise(own))
  }

  /// Goes on with a raised cell when the gate lets it.
  @inline(never)
  private func enterOwn(_ pass: Pass) -> Pass {
    // Nested: the outer writer keeps discards away, or one would wait for it and it for this one.
    while pass.depth == 0, isClosed {
      leave(pass)
      waitUntilOpen()
      _ = unsafe raise(pass.cell)
    }
    return pass
  }

  /// Counts the thread in `state`, in one step with a look whether the gate is open.
  private func enterAsSharer() {
    var seen = state.load()
    while true {
      // Through a closed gate only with others, who keep the discard away: one of them may be an
      // outer writer of this thread, which would wait for itself.
      let mayNest = unsafe clinux_this_writer().pointee.sharing > 0 && seen & State.sharers != 0
      if seen & State.closed != 0, !mayNest {
        waitUntilOpen()
        seen = state.load()
        continue
      }
      guard let found = state.exchange(seen, for: seen + State.sharer) else { break }
      seen = found
    }
    unsafe clinux_this_writer().pointee.sharing += 1
  }

  /// The end of a writer that is counted in `state`, or that found the gate not simply open.
  @inline(never)
  private func leaveSlowly(_ pass: Pass) {
    var seen = state.load()
    if unsafe pass.cell == cells.unused {
      unsafe clinux_this_writer().pointee.sharing -= 1
      seen = state.add(0 &- State.sharer)
    }
    guard seen & State.closed != 0, pass.depth == 0 else { return }
    departures.add(1)  // (L3)
    departures.wakeOne()
  }

  private func waitUntilOpen() {
    var seen = state.load()
    while seen & State.closed != 0 {
      let asked = seen | State.awaited
      if seen != asked, let found = state.exchange(seen, for: asked) {
        seen = found
        continue
      }
      state.wait(while: asked)
      seen = state.load()
    }
  }

  // MARK: Discards

  /// Runs `body` while no writer is inside. Other writers wait meanwhile, and while it waits
  /// itself.
  ///
  /// - Returns: nil if writers stayed inside for `timeoutMilliseconds`; `body` was not run. So it
  ///   is, too, if the caller itself is a writer.
  func discard<R>(timeoutMilliseconds: Int, _ body: () -> R) -> R? {
    discards.withLock { _ in
      state.set(State.closed)  // (C1)
      barrier()  // (C2)
      defer { open() }
      return becomesEmpty(within: timeoutMilliseconds) ? body() : nil
    }
  }

  /// Waits for the writers inside to leave.
  private func becomesEmpty(within milliseconds: Int) -> Bool {
    var deadline: ContinuousClock.Instant?
    while true {
      // Before the cells: a writer that leaves after they were read changes it.
      let seen = departures.load()  // (C3)
      if isEmpty { return true }  // (C4)
      let now = ContinuousClock.now
      let end = deadline ?? now + .milliseconds(milliseconds)
      deadline = end
      guard now < end else { return false }
      departures.wait(while: seen, limit: end - now)
    }
  }

  /// Whether no writer is inside. Once it is true of a closed gate it stays so.
  private var isEmpty: Bool {
    state.load() & State.sharers == 0 && cells.areAllZero
  }

  private func open() {
    let before = state.clear(State.closed | State.awaited)  // (O1)
    if before & State.awaited != 0 { state.wakeAll() }
  }
}
