internal import GuestMemory

/// A descriptor of either kind of ring, or of an indirect table: 16 bytes (virtio 1.2 §2.7.5 and
/// §2.8.1).
struct VirtqueueDescriptor {
  /// *flags*.
  struct Flags: OptionSet {
    let rawValue: UInt16
    /// *VIRTQ_DESC_F_NEXT*: the chain goes on.
    static let next = Flags(rawValue: 1)
    /// *VIRTQ_DESC_F_WRITE*: the device writes the buffer.
    static let write = Flags(rawValue: 2)
    /// *VIRTQ_DESC_F_INDIRECT*: the buffer is a table of descriptors.
    static let indirect = Flags(rawValue: 4)
    /// *VIRTQ_DESC_F_AVAIL* and *VIRTQ_DESC_F_USED* of packed rings.
    static let available = Flags(rawValue: 1 << 7)
    static let used = Flags(rawValue: 1 << 15)
  }

  static let entryByteCount = 16

  let address: UInt64
  let byteCount: UInt32
  /// Bytes 12 and 13 of it: *next* in a split ring, the buffer's identifier in a packed one.
  let link: UInt16
  let flags: Flags

  /// Reads entry `index` of the table at `start`: a copy, which the guest changes no more.
  ///
  /// - Parameter isPacked: *flags* and *link* have changed places.
  init(
    _ index: Int, of start: GPA, isPacked: Bool, _ memory: GuestMemory
  ) throws(VirtqueueFault) {
    guard let place = start.advanced(by: UInt64(index * Self.entryByteCount)),
      let address = memory.word(at: place), let second = place.advanced(by: 8),
      let rest = memory.word(at: second)
    else { throw .notRAM }
    self.address = address
    byteCount = UInt32(truncatingIfNeeded: rest)
    let low = UInt16(truncatingIfNeeded: rest >> 32)
    let high = UInt16(truncatingIfNeeded: rest >> 48)
    // A split ring's has the flags first.
    link = isPacked ? low : high
    flags = Flags(rawValue: isPacked ? high : low)
  }

  /// The entries of an indirect table.
  func tableEntryCount(isAllowed: Bool) throws(VirtqueueFault) -> Int {
    let (count, rest) = Int(byteCount).quotientAndRemainder(dividingBy: Self.entryByteCount)
    guard isAllowed, rest == 0, count > 0 else { throw .badTable }
    return count
  }
}

/// Where the driver put a queue, and how the two sides talk about it.
struct VirtqueueLayout: Hashable, Sendable {
  var size: UInt16
  /// *queue_desc*, *queue_driver* and *queue_device*.
  var descriptors: GPA
  var driver: GPA
  var device: GPA
  var hasIndirectDescriptors: Bool
  var hasEventIndex: Bool

  /// Checks alignment, and that all of it is RAM if there is memory to look at; what a driver does
  /// later is checked at every use.
  func check(
    size isValidSize: Bool, _ areas: [(start: GPA, alignment: UInt64, byteCount: Int)],
    _ memory: GuestMemory?
  ) throws(VirtqueueFault) {
    guard isValidSize else { throw .layout }
    for area in areas {
      guard area.start.rawValue % area.alignment == 0 else { throw .layout }
      guard memory?.isRAM(area.start, byteCount: area.byteCount) != false else { throw .notRAM }
    }
  }

  /// The address of a byte of an area, which `check` has seen to be RAM.
  static func place(_ area: GPA, _ offset: Int) -> GPA {
    GPA(area.rawValue &+ UInt64(offset))
  }
}

extension GuestMemory {
  /// A field of a ring.
  func ringField<T: FixedWidthInteger & BitwiseCopyable>(
    _ area: GPA, _ offset: Int, as type: T.Type = T.self
  ) throws(VirtqueueFault) -> T {
    do {
      return try load(at: VirtqueueLayout.place(area, offset))
    } catch {
      throw .notRAM
    }
  }

  /// Sets a field of a ring.
  func setRingField<T: FixedWidthInteger & BitwiseCopyable>(
    _ value: T, _ area: GPA, _ offset: Int
  ) throws(VirtqueueFault) {
    do {
      try store(value, at: VirtqueueLayout.place(area, offset))
    } catch {
      throw .notRAM
    }
  }
}
