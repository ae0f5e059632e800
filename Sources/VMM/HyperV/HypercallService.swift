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
///
/// A class, so that a call passes one reference and copies nothing.
final class HypercallService: Sendable {
  private let dispatcher: HypercallDispatcher
  private let guest: GuestMemory
  private let replyMemory: ReplyMemory
  private let refinement: GuestMemory.RefinementBudget
  private let verifier: ZeroVerifier?
  private let trackingEnd: TrackingEnd
  private let control: MachineControl
  /// Nil where nobody listens: no event is made then.
  private let onHypercall: (@Sendable (HypercallEvent) -> Void)?

  init(
    _ configuration: MachineConfiguration, enlightenments: Enlightenments, memory: GuestMemory,
    trackingEnd: TrackingEnd, control: MachineControl,
    onHypercall: (@Sendable (HypercallEvent) -> Void)?
  ) {
    dispatcher = HypercallDispatcher(enlightenments: enlightenments)
    guest = memory
    replyMemory = ReplyMemory(guest: memory)
    refinement = configuration.refinement
    verifier =
      configuration.verifiesZeroedMemory
      ? ZeroVerifier(guest: memory, isOver: { control.isEnding }) : nil
    self.trackingEnd = trackingEnd
    self.control = control
    self.onHypercall = onHypercall
  }

  func answer(_ request: HypercallRequest, vcpuID: UInt32) -> HypercallResult {
    let outcome = dispatcher.dispatch(request, memory: replyMemory) { replyPage in
      zeroedRanges(replyPage: GPN(rawValue: replyPage)).map {
        BootZeroedRange(startPage: $0.start.rawValue, pageCount: $0.pageCount)
      }
    }
    onHypercall?(HypercallEvent(vcpuID: vcpuID, request: request, outcome: outcome))
    if outcome.reportedRanges != nil { trackingEnd.noteAnswer() }
    return outcome.result
  }

  private func zeroedRanges(replyPage: GPN) -> [PageRange] {
    guest.refine(refinement)
    let ranges = guest.tracker.zeroedRanges(replyPage: replyPage)
    guard let verifier else { return ranges }
    do throws(MachineError) {
      return try verifier.verified(ranges)
    } catch {
      // The run ends; the guest must not use what was wrong even until then.
      control.end(with: .failed(error))
      return []
    }
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
