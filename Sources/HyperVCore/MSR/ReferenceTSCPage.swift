/// The contents of the partition reference TSC page.
///
/// | byte offset | field |
/// |-------------|-------|
/// | 0           | *TscSequence*, u32; 0 means: not valid, read the MSR instead |
/// | 4           | reserved, u32 |
/// | 8           | *TscScale*, u64 |
/// | 16          | *TscOffset*, s64 |
///
/// A guest reads the sequence, then scale, offset and RDTSC, then the sequence again, and repeats
/// if it changed. A thread-safe value.
///
/// Source: TLFS, Timers, "Partition Reference TSC Mechanism".
public struct ReferenceTSCPage: Hashable, Sendable {
  /// Bytes of the page.
  public static let byteCount = 4096

  /// *TscSequence*; 0 if the guest is to read the MSR.
  public let sequence: UInt32
  /// *TscScale*.
  public let scale: UInt64
  /// *TscOffset*, in 100 ns units.
  public let offset: Int64

  /// Makes a page for a clock.
  ///
  /// A page whose numbers differ from its predecessor's needs another sequence:
  /// ``sequence(after:)``. One clock never changes, so that 1 will do for all its life.
  public init(clock: PartitionClock, sequence: UInt32 = 1) {
    self.sequence = sequence
    scale = clock.scale
    offset = clock.offset
  }

  /// The next sequence that means *valid*.
  ///
  /// Skips 0, which means invalid, and 0xFFFFFFFF, which meant that in the first edition.
  public static func sequence(after sequence: UInt32) -> UInt32 {
    let next = sequence &+ 1
    return next == 0 || next == .max ? 1 : next
  }

  /// The whole page; unused bytes are zero.
  ///
  /// For a page that no vCPU reads yet. One in use is brought up to date by ``updateSteps``.
  public func encode() -> [UInt8] {
    [UInt8](zeroCount: Self.byteCount) { bytes in
      bytes.storeLE(sequence, at: 0)
      bytes.storeLE(scale, at: 8)
      bytes.storeLE(offset, at: 16)
    }
  }

  /// A write to the page.
  public struct Step: Hashable, Sendable {
    /// Where in the page.
    public let byteOffset: Int
    /// What to write.
    public let bytes: [UInt8]
  }

  /// The writes, in order, that change a page while guests read it.
  ///
  /// First the sequence becomes 0, which sends readers to the MSR; then scale and offset change
  /// together; last the new sequence appears. Each must be visible to all vCPUs before the next.
  public var updateSteps: [Step] {
    let page = encode()
    return [
      Step(byteOffset: 0, bytes: [0, 0, 0, 0]),
      Step(byteOffset: 8, bytes: Array(page[8..<24])),
      Step(byteOffset: 0, bytes: Array(page[0..<4])),
    ]
  }
}
