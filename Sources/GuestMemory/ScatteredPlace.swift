/// How far a transfer through pieces has come.
struct ScatteredPlace {
  private let pieces: [GuestMemoryPiece]
  /// The first piece that is not done, and how many of its bytes are.
  private var index = 0
  private var done = 0

  /// Before the first byte.
  init(_ pieces: [GuestMemoryPiece]) {
    self.pieces = pieces
    skipDonePieces()
  }

  /// What comes next: as much as the limits, at least 1 each, allow. Empty at the end only.
  func next(pieceCount: Int, byteCount: Int) -> [GuestMemoryPiece] {
    var part: [GuestMemoryPiece] = []
    var (rest, skipped) = (byteCount, done)
    for piece in pieces[index...] where part.count < pieceCount && rest > 0 {
      let count = min(piece.byteCount - skipped, rest)
      // Cannot fail: the piece is RAM, whose addresses do not wrap.
      guard let start = piece.start.advanced(by: UInt64(skipped)) else { return part }
      if count > 0 { part.append(GuestMemoryPiece(start: start, byteCount: count)) }
      rest -= count
      skipped = 0
    }
    return part
  }

  /// Goes on by `byteCount` bytes, no more than `next` gave.
  mutating func advance(_ byteCount: Int) {
    done += byteCount
    skipDonePieces()
  }

  private mutating func skipDonePieces() {
    while index < pieces.count, done >= pieces[index].byteCount {
      done -= pieces[index].byteCount
      index += 1
    }
  }
}

/// Neighbouring bytes of guest memory: one of several that a transfer fills or empties in order.
///
/// A description only; whether it is RAM is looked at by what uses it.
public struct GuestMemoryPiece: Hashable, Sendable {
  /// The first byte.
  public let start: GPA
  /// The length in bytes.
  public var byteCount: Int

  /// A piece; every address and count is accepted.
  public init(start: GPA, byteCount: Int) {
    self.start = start
    self.byteCount = byteCount
  }
}
