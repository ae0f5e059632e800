internal import ControlAPI
internal import HostSystem
internal import VMM

/// Answers control clients: one thread with a role of its own waits for all of them, and workers,
/// which are service threads, do what takes time. Any thread.
final class ControlServer: Sendable {
  /// Clients at a time.
  static let clientLimit = 32
  /// Those of them that may get events.
  static let streamLimit = 16
  /// Requests of one kind that may wait for their worker, also of clients that have gone.
  static let jobLimit = 64

  private let core: ControlCore
  private let thread: HostThread

  /// Starts the threads.
  ///
  /// - Parameters:
  ///   - userID: the user that is answered, beside root.
  ///   - onThreadStart: what the thread that waits for clients does first of all.
  /// - Throws: `.unavailable` when the host gives no more threads or descriptors.
  init(
    _ listener: UnixListener, _ run: ControlledRun, userID: UInt32,
    onThreadStart: @escaping @Sendable () -> Void
  ) throws(MachineError) {
    let core: ControlCore
    do throws(Errno) {
      core = try ControlCore(listener, run, userID: userID)
    } catch {
      throw .unavailable(
        what: "no event for control clients: \(error)",
        cure: "raise the limit of open files (ulimit -n)")
    }
    self.core = core
    let lanes = ControlLanes()
    do throws(HostThread.Failure) {
      for lane in ControlLanes.Lane.allCases {
        try lanes.start(lane) { id, request, sent in
          core.finish(id, Self.carryOut(request, sent, run))
        }
      }
      thread = try HostThread {
        onThreadStart()
        ControlLoop(core, lanes).run()
      }
    } catch {
      lanes.stop()
      throw .noThread("the threads of --control", code: error.code)
    }
    self.lanes = lanes
    run.events.setListener { core.wake() }
  }

  private let lanes: ControlLanes

  /// On a worker's thread.
  private static func carryOut(
    _ request: ControlRequest, _ sent: SentDescriptor?, _ run: ControlledRun
  ) -> ControlReply {
    switch request {
    case .pause: run.pause()
    case .snapshot(let name): run.save(as: name)
    case .migrate(let request): run.migrate(request, over: sent)
    case .cancelMigration: run.cancelMigration()
    case .resume: run.resume()
    case .powerButton: run.pressPowerButton()
    case .reboot: run.reboot()
    case .shutdown: run.shutDown()
    case .resize(let size): run.resize(size)
    case .trim: run.trim()
    case .cdrom(let change): run.changeMedium(change)
    case .nic(let number, let hasLink): run.setLink(number, hasLink)
    case .screenshot: run.takeScreenshot()
    case .counters: run.counters().map { .value($0.value) } ?? ControlledRun.noMachine
    case .metrics: run.counters().map { .metrics(MetricsText($0).text) } ?? ControlledRun.noMachine
    case .ping, .info, .events: .failure(.internalError, "not a worker's")
    }
  }

  /// Sends what is left to send, closes all connections and ends the threads. Once, when no machine
  /// runs any more.
  func stop() {
    // What is being carried out is answered: a shutdown above all.
    lanes.stop()
    core.stop()
    thread.join()
    core.run.events.setListener(nil)
  }
}

/// What the server's thread and the others share.
final class ControlCore: Sendable {
  private struct State {
    var finished: [(id: UInt64, reply: ControlReply)] = []
    var isStopped = false
  }

  /// What there is to do.
  struct Turn {
    var finished: [(id: UInt64, reply: ControlReply)]
    var isStopped: Bool
  }

  let listener: UnixListener
  let run: ControlledRun
  let userID: UInt32
  private let state = Guarded(State())
  /// Raised and cleared with the lock held.
  private let changed: Event

  init(_ listener: UnixListener, _ run: ControlledRun, userID: UInt32) throws(Errno) {
    self.listener = listener
    self.run = run
    self.userID = userID
    changed = try Event()
  }

  /// Readable when something changed.
  var descriptor: Int32 { changed.descriptor }

  func wake() {
    state.withLock { _ in changed.raise() }
  }

  /// A worker has done what a client asked for.
  func finish(_ id: UInt64, _ reply: ControlReply) {
    state.withLock { state in
      state.finished.append((id, reply))
      changed.raise()
    }
  }

  func stop() {
    state.withLock { state in
      state.isStopped = true
      changed.raise()
    }
  }

  func takeTurn() -> Turn {
    state.withLock { state in
      changed.clear()
      defer { state.finished = [] }
      return Turn(finished: state.finished, isStopped: state.isStopped)
    }
  }
}
