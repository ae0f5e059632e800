internal import GuestMemory
public import HyperVCore
internal import ZeroTracker

/// One hypercall that was answered, for traces and reports.
public struct HypercallEvent: Sendable {
  public let vcpuID: UInt32
  public let request: HypercallRequest
  public let outcome: HypercallOutcome
}

/// Answers hypercalls from the tracker; both transports end here. Safe from any vCPU's thread.
struct HypercallService: Sendable {
  private let dispatcher: HypercallDispatcher
  private let guest: GuestMemory
  private let trackingPolicy: TrackingPolicy
  private let onHypercall: @Sendable (HypercallEvent) -> Void

  init(
    enlightenments: Enlightenments, memory: GuestMemory, trackingPolicy: TrackingPolicy,
    onHypercall: @escaping @Sendable (HypercallEvent) -> Void
  ) {
    dispatcher = HypercallDispatcher(enlightenments: enlightenments)
    guest = memory
    self.trackingPolicy = trackingPolicy
    self.onHypercall = onHypercall
  }

  func answer(_ request: HypercallRequest, vcpuID: UInt32) -> HypercallResult {
    let outcome = dispatcher.dispatch(request, memory: ReplyMemory(guest: guest)) { replyPage in
      guest.tracker.zeroedRanges(replyPage: GPN(rawValue: replyPage)).map {
        BootZeroedRange(startPage: $0.start.rawValue, pageCount: $0.pageCount)
      }
    }
    onHypercall(HypercallEvent(vcpuID: vcpuID, request: request, outcome: outcome))
    if outcome.reportedRanges != nil, trackingPolicy != .always {
      // One answer is what a boot needs; the log costs 4 KiB mappings while it is on. If stopping
      // fails the tracker still reports nothing more, and only the guest's speed suffers.
      try? guest.tracker.stop()
    }
    return outcome.result
  }
}

/// Guest RAM as the hypercall handlers see it.
private struct ReplyMemory: HypercallMemory {
  let guest: GuestMemory

  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool {
    guest.isRAM(GPA(address.rawValue), byteCount: byteCount)
  }

  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool {
    do throws(GuestMemoryError) {
      try guest.write(bytes, at: GPA(address.rawValue))
      return true
    } catch {
      return false
    }
  }
}
