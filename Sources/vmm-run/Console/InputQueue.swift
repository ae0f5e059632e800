/// Bytes on their way to the guest, which takes them when it can.
///
/// Time is passed in, in nanoseconds of the monotonic clock.
struct InputQueue {
  /// What a terminal's own buffer holds, too.
  static let byteLimit = 4096
  /// After the guest left something, the next offer is this much later.
  static let retryNanoseconds: UInt64 = 10_000_000

  private var bytes: [UInt8] = []
  private var nextOffer: UInt64 = 0
  private let input: @Sendable ([UInt8]) -> Int

  /// - Parameter input: Returns how many of the bytes the guest took.
  init(_ input: @escaping @Sendable ([UInt8]) -> Int) {
    self.input = input
  }

  var isEmpty: Bool { bytes.isEmpty }

  /// Adds what fits; the rest is lost, as it is when somebody types into a busy terminal.
  mutating func add(_ more: [UInt8]) {
    bytes += more.prefix(Self.byteLimit - bytes.count)
  }

  /// Offers everything, unless the guest left something only just before.
  mutating func offer(at now: UInt64) {
    guard !bytes.isEmpty, now >= nextOffer else { return }
    let taken = input(bytes)
    precondition(0...bytes.count ~= taken, "took \(taken) of \(bytes.count) bytes")
    bytes.removeFirst(taken)
    nextOffer = bytes.isEmpty ? 0 : now + Self.retryNanoseconds
  }

  /// How long a wait for more may take before the next offer is due; -1 if none is.
  func timeoutMilliseconds(at now: UInt64) -> Int32 {
    if bytes.isEmpty { return -1 }
    if now >= nextOffer { return 0 }
    // Rounded up: a wait that ends too early would only be repeated.
    return Int32((nextOffer - now + 999_999) / 1_000_000)
  }
}
