internal import Bytes
internal import Devices
internal import GuestMemory
public import HyperVCore
internal import MachineSpecification
internal import ZeroTracker

/// One hypercall that was answered, for traces and reports.
public struct HypercallEvent: Sendable {
  /// The vCPU that made the call.
  public let vcpuID: UInt32
  /// What the guest passed. Any values: they are the guest's.
  public let request: HypercallRequest
  /// What it was answered.
  public let outcome: HypercallOutcome
}

/// Answers hypercalls from the tracker; both transports end here. Safe from any vCPU's thread.
///
/// A class, so that a call passes one reference and copies nothing.
final class HypercallService: Sendable {
  private static let zeroedMemoryCall: UInt64 = 0x8002

  private let dispatcher: HypercallDispatcher
  private let memory: HypercallRAM
  private let trackingEnd: TrackingEnd
  /// Nil without a listener: no event is made then.
  private let onHypercall: (@Sendable (HypercallEvent) -> Void)?

  init(
    _ configuration: MachineConfiguration, enlightenments: Enlightenments, memory: GuestMemory,
    trimmer: HugePageTrimmer?, trackingEnd: TrackingEnd, control: MachineControl, bus: VMBusHost?,
    onHypercall: (@Sendable (HypercallEvent) -> Void)?
  ) {
    self.memory = HypercallRAM(guest: memory)
    self.trackingEnd = trackingEnd
    self.onHypercall = onHypercall
    let zeroed = ZeroedPages(
      guest: memory, refinement: configuration.refinement,
      verifier: configuration.verifiesZeroedMemory
        ? ZeroVerifier(guest: memory, isOver: { control.isEnding }) : nil,
      trim: configuration.trimAtAnswer.flatMap { budget in
        trimmer.map { Trim(trimmer: $0, budget: budget) }
      },
      control: control)
    let hints = MemoryHintsTaken(guest: memory, control: control)
    dispatcher = HypercallDispatcher(
      enlightenments: enlightenments,
      calls: [
        GetBootZeroedMemory { zeroed.ranges(replyPage: GPN(rawValue: $0)) },
        MemoryHeatHint(
          configuration.memoryHints.heats, pageBudget: MemoryHintsTaken.pageBudget
        ) { hints.take($0, $1) },
      ] + (bus.map { Self.connections($0) } ?? []))
  }

  private static func connections(_ bus: VMBusHost) -> [any Hypercall] {
    [
      PostMessage { connection, type, message in
        switch bus.post(message, type: type, connection: connection) {
        case .taken: .success
        case .isFull: .insufficientBuffers
        case .noConnection: .invalidConnectionID
        case .invalid: .invalidParameter
        }
      },
      SignalEvent { connection, flag in
        flag == 0 && bus.signal(connection: connection) ? .success : .invalidConnectionID
      },
    ]
  }

  func answer(_ request: HypercallRequest, vcpuID: UInt32) -> HypercallResult {
    let result: HypercallResult
    if let onHypercall {
      let outcome = dispatcher.dispatch(request, memory: memory)
      onHypercall(HypercallEvent(vcpuID: vcpuID, request: request, outcome: outcome))
      result = outcome.result
    } else {
      result = dispatcher.answer(request, memory: memory)
    }
    // The input value of a call that succeeds is the code alone.
    if request.input.rawValue == Self.zeroedMemoryCall, result.rawValue == 0 {
      trackingEnd.noteAnswer()
    }
    return result
  }
}

/// What is given back at each answer.
private struct Trim: Sendable {
  let trimmer: HugePageTrimmer
  let budget: HugePageTrimmer.Budget
}

/// Which pages 0x8002 reports.
private struct ZeroedPages: Sendable {
  let guest: GuestMemory
  let refinement: GuestMemory.RefinementBudget
  let verifier: ZeroVerifier?
  /// Nil if nothing is given back.
  let trim: Trim?
  let control: MachineControl

  func ranges(replyPage: GPN) -> [Range<UInt64>] {
    guest.refine(refinement)
    // Before the answer: who looks at memory then need not read what has gone back.
    if let trim { _ = trim.trimmer.trim(trim.budget) { !control.isEnding } }
    let ranges = guest.tracker.zeroedRanges(replyPage: replyPage)
    do throws(MachineError) {
      return try (verifier?.verified(ranges) ?? ranges).map { $0.pageNumbers }
    } catch {
      // The run ends; the guest must not use what was wrong even until then.
      control.end(with: .failed(error))
      return []
    }
  }
}

extension MemoryHints {
  fileprivate var heats: [MemoryHeat] {
    switch self {
    case .none: []
    case .discard: [.coldDiscard]
    case .all: MemoryHeat.allCases
    }
  }
}

/// What comes of 0x8003. It runs on the vCPU's thread that hints: nobody else waits for it.
private struct MemoryHintsTaken: Sendable {
  /// How much one call does, in pages: 64 MiB take a few milliseconds at most.
  static let pageBudget = 16384

  let guest: GuestMemory
  let control: MachineControl

  /// - Returns: pages of RAM that were dealt with.
  func take(_ heat: MemoryHeat, _ pageNumbers: Range<UInt64>) -> Int {
    let pages = PageRange(
      start: GPN(rawValue: pageNumbers.lowerBound), pageCount: UInt64(pageNumbers.count))
    let byteCount =
      switch heat {
      case .coldDiscard: guest.giveBack(pages) { !control.isEnding }
      case .cold: guest.cool(pages)
      case .hot: guest.warm(pages, limit: UInt64(Self.pageBudget * GPN.byteCount))
      }
    return Int(clamping: byteCount) / GPN.byteCount
  }
}

/// Guest RAM as the dispatcher sees it.
private struct HypercallRAM: HypercallMemory {
  let guest: GuestMemory

  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool {
    guest.isRAM(GPA(address.rawValue), byteCount: byteCount)
  }

  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool {
    do throws(GuestMemoryError) {
      if bytes.byteCount == MemoryLayout<UInt64>.size {
        // The output of 0x8001: a store, and no call that copies.
        try guest.store(bytes.loadLE(at: 0, as: UInt64.self), at: GPA(address.rawValue))
      } else {
        try guest.write(bytes, at: GPA(address.rawValue))
      }
      return true
    } catch {
      return false
    }
  }

  func read(into bytes: inout MutableRawSpan, at address: GuestAddress) -> Bool {
    do throws(GuestMemoryError) {
      try guest.read(at: GPA(address.rawValue), into: &bytes)
      return true
    } catch {
      return false
    }
  }
}
