/// One hypercall: its number, its frame, what offers it, and how it is answered.
///
/// ``HypercallDispatcher`` holds a table of these. It checks the frame against ``frame`` and reads
/// the input before it calls ``answer(_:input:output:)``, so a handler sees only calls that are
/// well formed. A new call is a type in a file of its own.
///
/// Several vCPUs may make the same call at once, so a handler must be safe from any thread. A
/// class, since calling one behind a protocol takes the fewest instructions.
public protocol Hypercall: AnyObject, Sendable {
  /// The call code, bits 15:0 of the hypercall input value.
  static var code: HypercallCode { get }

  /// What the call takes and returns.
  static var frame: HypercallFrame { get }

  /// The enlightenments that offer the call; the guest needs all of them.
  static var requirement: Enlightenments { get }

  /// The bit by which *HvExtCallQueryCapabilities* (0x8001) announces the call; empty for a call
  /// that is announced elsewhere.
  var capability: ExtendedCapabilities { get }

  /// Answers a call whose frame is correct.
  ///
  /// - Parameters:
  ///   - arguments: the fields of the input value that matter to a handler.
  ///   - input: the header, then the whole rep list, as bytes of ``HypercallFrame``; empty for a
  ///     call without input. The guest cannot change it any more: it is a copy.
  ///   - output: as many bytes as the frame says, zero; written to the guest if the status is
  ///     success.
  /// - Returns: the status, and for a rep call how many elements of the list are done, counted from
  ///   its beginning. With success and some left the guest calls again, from there on.
  func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult
}

extension Hypercall {
  public var capability: ExtendedCapabilities { [] }
}

/// What a hypercall takes and returns, as the TLFS lists it for each call.
///
/// Source: TLFS, Hypercall Interface, "Hypercall Classes" and "Legal Hypercall Environments".
public struct HypercallFrame: Hashable, Sendable {
  /// Bytes of the fixed input header, a multiple of 8.
  public let headerByteCount: Int
  /// Bytes of one element of the input list; nil for a simple call, which has no list.
  public let elementByteCount: Int?
  /// Bytes of the output, a multiple of 8 and at most a page.
  public let outputByteCount: Int
  /// Whether the call is a hint whose input value is not checked: it succeeds however it is made.
  public let isHint: Bool

  /// Composes a frame. Lengths that cannot be are a mistake of the call's author and trap.
  public init(
    headerByteCount: Int = 0, elementByteCount: Int? = nil, outputByteCount: Int = 0,
    isHint: Bool = false
  ) {
    for count in [headerByteCount, elementByteCount ?? 8, outputByteCount] {
      precondition(
        (0...GuestAddress.pageByteCount).contains(count) && count % 8 == 0,
        "a hypercall with \(count) bytes")
    }
    self.headerByteCount = headerByteCount
    self.elementByteCount = elementByteCount
    self.outputByteCount = outputByteCount
    self.isHint = isHint
  }
}

/// What a handler learns of the hypercall input value and the registers.
public struct HypercallArguments: Hashable, Sendable {
  /// Elements in the list, 1...4095; 0 for a simple call.
  public let repCount: Int
  /// The first element that is still to be done, below `repCount`; 0 for a simple call.
  public let repStartIndex: Int
  /// The GPN of the page that receives the output: it holds more than zeroes afterwards.
  public let outputPage: UInt64
}
