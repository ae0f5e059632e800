public import HostSystem

/// The threads that do a device's work: started together, ended and joined together. Any thread.
public final class DeviceThreads: Sendable {
  private let work: WorkList
  private let onStart: @Sendable () -> Void
  private let threads = Guarded<[HostThread]>([])

  /// None yet.
  ///
  /// - Parameters:
  ///   - work: what they wait for; it is closed when they are to end.
  ///   - onStart: what each does first of all (`PCIContext.onThreadStart`).
  public init(_ work: WorkList, onStart: @escaping @Sendable () -> Void) {
    self.work = work
    self.onStart = onStart
  }

  /// Starts threads that run `body`.
  ///
  /// - Parameters:
  ///   - kind: what they are for, as in "disk".
  ///   - body: ends when the list of work is closed.
  /// - Throws: `DeviceError` when the host gives no more threads; none is left then.
  public func start(
    count: Int, kind: String, _ body: @escaping @Sendable () -> Void
  ) throws(DeviceError) {
    let isComplete = threads.withLock { [onStart] threads in
      while threads.count < count,
        let thread = try? HostThread({
          onStart()
          body()
        })
      {
        threads.append(thread)
      }
      return threads.count == count
    }
    guard isComplete else {
      stop()
      throw .threads(count: count, kind: kind)
    }
  }

  /// Holds the list of work, and waits until all of them wait for it.
  ///
  /// - Parameter finishesWork: waits for up to 10 seconds until there is no work any more, before
  ///   what is left is held. For work that nobody adds to meanwhile.
  /// - Throws: `StateError.busy` if one is still at work after 10 seconds, or they end.
  public func pause(finishesWork: Bool = false) throws(StateError) {
    let count = threads.withLock(\.count)
    // Without threads, and in a pause, nobody would finish it.
    if finishesWork, count > 0, !work.isOnHold { _ = work.waitForEnd(count: count, seconds: 10) }
    work.hold()
    guard work.waitForIdleThreads(count: count, seconds: 10) else {
      throw .busy(work.isOver ? "it ends" : "it is still at work after 10 seconds")
    }
  }

  /// Lets them go on.
  public func resume() {
    work.release()
  }

  /// Closes the list of work and waits for the threads' ends; may be called again. Not on one of
  /// them.
  public func stop() {
    work.close()
    let threads = threads.withLock { threads in
      defer { threads = [] }
      return threads
    }
    for thread in threads { thread.join() }
  }
}
