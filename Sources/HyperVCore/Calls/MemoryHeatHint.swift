/// How soon a guest will use memory: the type of a heat hint. A thread-safe value.
///
/// Source: Linux, include/hyperv/hvgdk_ext.h, `struct hv_memory_hint`.
public enum MemoryHeat: UInt8, Hashable, Sendable, CaseIterable {
  /// Not soon. Its content is kept.
  case cold = 0
  /// Soon.
  case hot = 1
  /// Not soon, and its content does not matter: the next reader finds zeroes.
  case coldDiscard = 2
}

/// *HvExtCallMemoryHeatHint* (0x8003): which memory the guest does not need, or needs soon.
///
/// A rep call: the header has the type, each element a ``GPAPageRange``. Linux sends what it has
/// free in this way (*free page reporting*), and calls again for what one call leaves.
///
/// Source: TLFS for the name; for the layout Linux, drivers/hv/hv_balloon.c, as its hv_balloon
/// driver makes it on Hyper-V.
public final class MemoryHeatHint: Hypercall {
  public static let code = HypercallCode.extendedMemoryHeatHint
  public static let frame = HypercallFrame(
    headerByteCount: 8, elementByteCount: GPAPageRange.byteCount)
  public static let requirement: Enlightenments = [.extendedHypercalls, .memoryHeatHint]
  /// The most ranges that fit the input page.
  public static let maximumRangeCount =
    (GuestAddress.pageByteCount - frame.headerByteCount) / GPAPageRange.byteCount

  /// What may be hinted.
  private let heats: [MemoryHeat]
  private let pageBudget: Int
  private let apply: @Sendable (MemoryHeat, Range<UInt64>) -> Int

  /// The call, with what is done of it.
  ///
  /// - Parameters:
  ///   - heats: what is offered. `.coldDiscard` has a bit of its own in the capabilities; the other
  ///     two share one. A hint that is not offered gets *INVALID_PARAMETER*.
  ///   - pageBudget: after so many pages of work the guest has to call again, so that no call takes
  ///     long. One range is never split.
  ///   - apply: gets the hint and the pages (GPNs), any of the address space: whether there is RAM
  ///     is its business. It returns how many pages it cost. A hint may come to nothing.
  public init(
    _ heats: some Sequence<MemoryHeat>, pageBudget: Int,
    apply: @escaping @Sendable (MemoryHeat, Range<UInt64>) -> Int
  ) {
    self.heats = Array(heats)
    self.pageBudget = pageBudget
    self.apply = apply
  }

  public var capability: ExtendedCapabilities {
    var capabilities: ExtendedCapabilities = []
    if heats.contains(.coldDiscard) { capabilities.insert(.memoryColdDiscardHint) }
    if heats.contains(.cold) || heats.contains(.hot) { capabilities.insert(.memoryHeatHint) }
    return capabilities
  }

  public func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult {
    // Bits 63:2 are reserved.
    guard let header = input.loadLE(at: 0, as: UInt64.self),
      let heat = UInt8(exactly: header).flatMap({ MemoryHeat(rawValue: $0) }), heats.contains(heat)
    else {
      return HypercallResult(status: .invalidParameter, repsCompleted: arguments.repStartIndex)
    }
    var done = arguments.repStartIndex
    var budget = pageBudget
    repeat {
      let offset = Self.frame.headerByteCount + done * GPAPageRange.byteCount
      // The input has the whole list.
      let range = GPAPageRange(rawValue: input.loadLE(at: offset) ?? 0)
      if let pages = range.pageNumbers {
        budget -= min(apply(heat, pages), budget)
      } else if range.pageSize != .size1GiB || range.hasReservedBits {
        return HypercallResult(status: .invalidParameter, repsCompleted: done)
      }
      // Pages of 1 GiB: nothing is done, which any hint may come to.
      done += 1
    } while done < arguments.repCount && budget > 0
    return HypercallResult(status: .success, repsCompleted: done)
  }
}
