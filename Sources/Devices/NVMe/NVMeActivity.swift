internal import DeviceKit
internal import GuestMemory
internal import HostSystem

/// What a controller and its queues are doing, for people who ask why a guest hangs.
public struct NVMeActivity: Hashable, Sendable {
  /// A submission queue and the completion queue that it completes to.
  public struct Queue: Hashable, Sendable {
    /// 0 for the admin queue.
    public let identifier: Int
    /// Entries of the submission queue.
    public let entryCount: UInt32
    /// The next command to fetch.
    public let submissionHead: UInt32
    /// Where the guest's commands end, as far as the controller knows.
    public let submissionTail: UInt32
    /// The same by the shadow doorbell, which the controller looks at when it wants to; nil without
    /// one.
    public let shadowTail: UInt32?
    /// Commands fetched and not completed.
    public let inFlightCount: Int
    /// The first completion that the guest has not taken.
    public let completionHead: UInt32
    /// Where the next completion goes.
    public let completionTail: UInt32
    /// Completions that the guest has not taken.
    public let untaken: UInt32
    /// Whether commands wait for room in the completion queue.
    public let waitsForRoom: Bool
  }

  /// *CSTS.RDY*.
  public let isReady: Bool
  /// *CSTS.CFS*.
  public let isFailed: Bool
  /// Commands of all queues that were fetched and not completed.
  public let inFlightCount: Int
  /// The queues that there are, in the order of their identifiers.
  public let queues: [Queue]
}

extension NVMeEngine {
  var activity: NVMeActivity? {
    state.withLockSoon { [endpoint] state in
      NVMeActivity(
        isReady: state.registers.isReady, isFailed: state.registers.isFailed,
        inFlightCount: state.inFlightCount, queues: state.queues.activity(endpoint.memory))
    }
  }
}

extension NVMeQueueSet {
  fileprivate func activity(_ memory: GuestMemory?) -> [NVMeActivity.Queue] {
    // A copy, so that a look changes nothing. The controller itself reads heads in shadow doorbells
    // only when it must.
    var seen = self
    if let memory {
      for queue in completion.indices { seen.takeHead(queue, memory) }
    }
    return submission.indices.compactMap { identifier -> NVMeActivity.Queue? in
      guard let ring = submission[identifier],
        let target = seen.completion[ring.completionQueue]
      else { return nil }
      return NVMeActivity.Queue(
        identifier: identifier, entryCount: ring.count, submissionHead: ring.head,
        submissionTail: ring.tail,
        shadowTail: memory.flatMap { memory in
          hasShadow(identifier) ? shadows?.value(.tail, of: identifier, in: memory) : nil
        },
        inFlightCount: ring.inFlightCount, completionHead: target.head,
        completionTail: target.tail, untaken: target.occupiedCount, waitsForRoom: target.holdsBack)
    }
  }
}
