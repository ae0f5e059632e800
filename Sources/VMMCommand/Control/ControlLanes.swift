internal import ControlAPI
internal import HostSystem

/// Threads that carry out requests which take time, each kind in its order: a pause that waits for
/// a vCPU keeps nobody from looking at the machine, nor from resuming it.
final class ControlLanes: Sendable {
  enum Lane: Int, CaseIterable, Sendable {
    /// Waits for vCPUs, up to 10 seconds; saves.
    case pause
    /// Waits for the locks of devices.
    case actions
    /// Takes as long as it takes: a machine moves.
    case migration
    /// Walks page tables, reads memory or a picture.
    case looks

    init(_ request: ControlRequest) {
      switch request {
      case .pause, .snapshot: self = .pause
      case .migrate: self = .migration
      case .counters, .metrics, .screenshot, .trim, .ping, .info, .events: self = .looks
      case .resume, .powerButton, .reboot, .shutdown, .resize, .cdrom, .nic,
        .cancelMigration:
        self = .actions
      }
    }
  }

  private struct Job {
    let id: UInt64
    let request: ControlRequest
    let sent: SentDescriptor?
  }

  /// What waits for one thread.
  private final class Queue: Sendable {
    let jobs = Guarded<[Job]>([])
    let work = WorkList(count: 1)

    func next() -> Job? {
      while true {
        if let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { return job }
        guard work.next() != nil else { return nil }
      }
    }
  }

  private let queues = Lane.allCases.map { _ in Queue() }
  private let threads = Guarded<[HostThread]>([])

  /// - Parameter carryOut: called on the lane's thread, for one request after the other.
  func start(
    _ lane: Lane, carryOut: @escaping @Sendable (UInt64, ControlRequest, SentDescriptor?) -> Void
  ) throws(HostThread.Failure) {
    let queue = queues[lane.rawValue]
    let thread = try HostThread {
      while let job = queue.next() { carryOut(job.id, job.request, job.sent) }
    }
    threads.withLock { $0.append(thread) }
  }

  /// - Parameters:
  ///   - id: of who asks.
  ///   - sent: what came with the request.
  /// - Returns: false if too many wait already.
  func add(_ request: ControlRequest, of id: UInt64, _ sent: SentDescriptor?) -> Bool {
    let queue = queues[Lane(request).rawValue]
    let isTaken = queue.jobs.withLock { jobs in
      guard jobs.count < ControlServer.jobLimit else { return false }
      jobs.append(Job(id: id, request: request, sent: sent))
      return true
    }
    if isTaken { queue.work.add(0) }
    return isTaken
  }

  /// Ends the threads when they have done what was added. Once.
  func stop() {
    for queue in queues { queue.work.close() }
    for thread in threads.withLock({ $0 }) { thread.join() }
  }
}
