/// The partition's frequencies, and the arithmetic from TSC to reference time.
///
/// Reference time counts units of 100 ns since the partition was created:
/// `((tsc * scale) >> 64) + offset`, with a 128-bit product. The register TIME_REF_COUNT and the
/// reference TSC page use the same two numbers, so that a guest reading both sees one clock. A
/// thread-safe value.
///
/// Source: TLFS, Timers, "Partition Reference Time" and "Partition Reference TSC Mechanism".
public struct PartitionClock: Hashable, Sendable {
  /// Units of reference time in a second.
  public static let referenceFrequencyHertz: UInt64 = 10_000_000

  /// The guest TSC's frequency, as TSC_FREQUENCY reads.
  public let tscFrequencyHertz: UInt64

  /// The APIC timer's frequency before its divider, as APIC_FREQUENCY reads.
  public let apicFrequencyHertz: UInt64

  /// *TscScale*: 100 ns units per TSC tick, as a fraction of 2^64, rounded down.
  public let scale: UInt64

  /// *TscOffset*: added after scaling, so that time starts at 0.
  public let offset: Int64

  /// Makes a clock.
  ///
  /// - Parameters:
  ///   - tscFrequencyHertz: more than ``referenceFrequencyHertz``, since a scale of 1 or more has
  ///     no encoding; checked by `precondition`. Ask ``canRepresent(tscFrequencyHertz:)`` first
  ///     when the number comes from outside.
  ///   - apicFrequencyHertz: under KVM 10^9, unless its bus cycle was changed.
  ///   - creationTSC: the guest TSC at which reference time is 0.
  public init(tscFrequencyHertz: UInt64, apicFrequencyHertz: UInt64, creationTSC: UInt64 = 0) {
    precondition(
      Self.canRepresent(tscFrequencyHertz: tscFrequencyHertz),
      "TSC frequency \(tscFrequencyHertz) Hz is not above \(Self.referenceFrequencyHertz) Hz")
    self.tscFrequencyHertz = tscFrequencyHertz
    self.apicFrequencyHertz = apicFrequencyHertz
    // The dividend is 10^7 * 2^64; a divisor above 10^7 keeps the quotient in 64 bits.
    scale = tscFrequencyHertz.dividingFullWidth((Self.referenceFrequencyHertz, 0)).quotient
    // Wrapping, because the guest adds modulo 2^64 too: only equality with its result counts.
    offset = 0 &- Int64(bitPattern: creationTSC.multipliedFullWidth(by: scale).high)
  }

  /// Whether a TSC frequency has a scale: more than 10 MHz, as every processor's is.
  public static func canRepresent(tscFrequencyHertz: UInt64) -> Bool {
    tscFrequencyHertz > referenceFrequencyHertz
  }

  /// Reference time in 100 ns units, at a value of the guest TSC.
  ///
  /// The guest can write its TSC, also to before creation; then time wraps around 2^64, as it does
  /// in the guest's own computation from the page.
  public func referenceTime(_ timestampCounter: UInt64) -> UInt64 {
    timestampCounter.multipliedFullWidth(by: scale).high &+ UInt64(bitPattern: offset)
  }
}
