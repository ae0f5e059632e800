internal import GuestMemory

/// A ring of descriptors, by its registers.
struct E1000ERing: Sendable {
  let base: UInt64
  /// How many descriptors it has; 0 for none.
  let count: Int
  let descriptorByteCount: Int
  /// The next that is the card's.
  private(set) var head: Int
  /// The first that is not.
  let tail: Int

  /// - Parameters:
  ///   - offset: of the first of its registers.
  ///   - descriptorByteCount: 16 or 32.
  init(_ core: E1000ECore, at offset: UInt64, descriptorByteCount: Int = 16) {
    typealias Ring = E1000ERegister.Ring
    base = UInt64(core[offset + Ring.addressHigh]) << 32 | UInt64(core[offset + Ring.addressLow])
    self.descriptorByteCount = descriptorByteCount
    count = Int(core[offset + Ring.length]) / descriptorByteCount
    head = Int(core[offset + Ring.head])
    tail = Int(core[offset + Ring.tail])
    // A place outside is none of the ring's.
    if head >= count { head = 0 }
  }

  /// How many descriptors are the card's.
  var availableCount: Int {
    guard tail < count else { return 0 }
    return tail >= head ? tail - head : count - head + tail
  }

  /// Where the descriptor is that comes `distance` after the next one, which is one of the ring's.
  func address(_ distance: Int = 0) -> GPA? {
    GPA(base).advanced(by: UInt64((head + distance) % max(count, 1) * descriptorByteCount))
  }

  /// The card is done with descriptors.
  mutating func advance(by steps: Int) {
    guard count > 0 else { return }
    head = (head + steps) % count
  }
}
