internal import Bytes

/// Frames on their way between a card and the far end of its cable, in one buffer that is used
/// again and again: none is allocated for a frame.
///
/// Each stands behind its length, 4 bytes, big-endian, without themselves, as stream sockets of
/// virtual networks have it, so that many frames are one write or one read. What counts as the
/// frame here begins with the back-end's virtio-net header, if it has one.
///
/// Not for several threads at once. A copy copies the buffer.
public struct NetworkFrames: Sendable {
  /// Bytes in front of each frame.
  package static let prefixByteCount = 4
  /// An Ethernet header: shorter frames are dropped.
  private static let minimumByteCount = 14
  /// What is read at once.
  public static let byteCount = 256 * 1024

  /// Bytes of the virtio-net header at the beginning of each frame.
  public let headerByteCount: Int
  /// The longest frame, with its header.
  public let maximumByteCount: Int
  /// The last `maximumByteCount` and a prefix more than `byteCount`: a frame that has begun ends.
  private var bytes: [UInt8]
  /// Where the first frame's prefix is, and where the next one's will be.
  private var start = 0
  private var end = 0
  /// Where the frame that is open has come to; nil if there is none.
  private var open: Int?
  /// Where what was read ends: behind `end`, the beginning of a frame.
  private var filled = 0
  /// What is still to come of a frame that is too long, and goes nowhere.
  private var excess = 0

  /// An empty buffer.
  ///
  /// - Parameters:
  ///   - headerByteCount: of the back-end.
  ///   - maximumFrameByteCount: the longest frame without the header.
  public init(headerByteCount: Int, maximumFrameByteCount: Int) {
    precondition(
      headerByteCount >= 0 && (14...1 << 20).contains(maximumFrameByteCount),
      "frames of \(maximumFrameByteCount) bytes behind \(headerByteCount)")
    self.headerByteCount = headerByteCount
    maximumByteCount = headerByteCount + maximumFrameByteCount
    bytes = Array(repeating: 0, count: Self.byteCount + Self.prefixByteCount + maximumByteCount)
  }

  /// An empty buffer for the frames of a back-end.
  public init(for backend: any NetworkBackend) {
    self.init(
      headerByteCount: backend.headerByteCount,
      maximumFrameByteCount: backend.maximumFrameByteCount)
  }

  // MARK: Taking frames out

  /// Whether no frame is there.
  public var isEmpty: Bool { start == end }

  /// Bytes of all frames and their prefixes.
  public var byteCount: Int { end - start }

  /// Bytes of the first frame, with its header; nil if there is none.
  public var firstByteCount: Int? {
    isEmpty ? nil : prefix(at: start)
  }

  /// Calls `body` with the first frame, from its header on.
  ///
  /// - Returns: what `body` returns; nil, without calling it, if there is no frame.
  public func withFirst<R, E: Error>(
    _ body: (RawSpan) throws(E) -> R
  ) throws(E) -> R? {
    guard let count = firstByteCount else { return nil }
    let begin = start + Self.prefixByteCount
    // SAFETY: a byte is initialised and has no padding.
    return try body(unsafe bytes.span.bytes.extracting(begin..<begin + count))
  }

  /// Takes the first frame away, if there is one.
  public mutating func removeFirst() {
    guard let count = firstByteCount else { return }
    start += Self.prefixByteCount + count
    skipInvalid()
  }

  /// Takes all frames away, and the open one.
  public mutating func removeAll() {
    start = end
    open = nil
    rewind()
  }

  /// Passes over frames that are too short or too long.
  private mutating func skipInvalid() {
    while !isEmpty {
      let count = prefix(at: start)
      if (Self.minimumByteCount + headerByteCount...maximumByteCount).contains(count) { return }
      start += Self.prefixByteCount + count
    }
    rewind()
  }

  /// Begins at the front again where nothing is kept.
  private mutating func rewind() {
    guard isEmpty, open == nil, filled <= end else { return }
    (start, end, filled) = (0, 0, 0)
  }

  // MARK: Putting frames in

  /// Whether there is room for one more frame, of any length. When there is not, the frames are to
  /// be sent first.
  public var hasRoom: Bool { end < Self.byteCount }

  /// Begins a frame with an empty header. There is room, and no other frame is open.
  public mutating func begin() {
    precondition(hasRoom && open == nil, "a frame too many: \(byteCount) bytes")
    open = end + Self.prefixByteCount
    extend(byCount: headerByteCount) { header in
      // SAFETY: every bit pattern is a byte.
      unsafe header.withUnsafeMutableBytes { bytes in
        _ = unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
  }

  /// How many bytes the open frame may still get.
  public var leftByteCount: Int {
    guard let open else { return 0 }
    return maximumByteCount - (open - end - Self.prefixByteCount)
  }

  /// Bytes that the open frame has, with its header; 0 if there is none.
  public var openByteCount: Int {
    guard let open else { return 0 }
    return open - end - Self.prefixByteCount
  }

  /// Adds bytes to the open frame, which `fill` sets; when it throws, the frame is as before.
  ///
  /// - Parameter count: at most `leftByteCount`.
  public mutating func extend<E: Error>(
    byCount count: Int, _ fill: (inout MutableRawSpan) throws(E) -> Void
  ) throws(E) {
    guard let open else { preconditionFailure("no frame is open") }
    precondition(
      count >= 0 && count <= leftByteCount, "\(count) bytes where \(leftByteCount) are left")
    try withBytes(open..<open + count, fill)
    self.open = open + count
  }

  /// Adds bytes to the open frame.
  ///
  /// - Parameter added: at most `leftByteCount`.
  public mutating func append(_ added: RawSpan) {
    extend(byCount: added.byteCount) { target in
      // SAFETY: both have as many bytes, and the target is this value's alone.
      unsafe target.withUnsafeMutableBytes { target in
        unsafe added.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
      }
    }
  }

  /// Lends what the open frame has, from its header on, to be changed.
  public mutating func withOpen<R, E: Error>(
    _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    guard let open else { preconditionFailure("no frame is open") }
    return try withBytes(end + Self.prefixByteCount..<open, body)
  }

  /// The open frame is complete.
  public mutating func finish() {
    guard let open else { preconditionFailure("no frame is open") }
    bytes.storeBE(UInt32(open - end - Self.prefixByteCount), at: end)
    end = open
    self.open = nil
  }

  /// Takes the open frame away, if there is one.
  public mutating func abandon() {
    open = nil
  }

  // MARK: Streams of frames

  /// Reads frames from a stream, as many as there are; a rest waits for what is missing of it.
  /// Frames that are shorter than an Ethernet header or longer than the maximum are left out. All
  /// frames have been taken away before.
  ///
  /// - Parameter read: as read(2), into a buffer of at least `byteCount` bytes: how many bytes were
  ///   read; 0 or less for none.
  /// - Returns: what `read` returned.
  package mutating func fill(_ read: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    precondition(isEmpty && open == nil, "\(byteCount) bytes of frames are still there")
    let kept = max(filled - end, 0)
    for index in 0..<kept { bytes[index] = bytes[end + index] }
    (start, end) = (0, 0)
    // SAFETY: the array is this value's alone while it is lent.
    let count = unsafe bytes.withUnsafeMutableBytes { all in
      unsafe read(UnsafeMutableRawBufferPointer(rebasing: all[kept...]))
    }
    filled = kept + max(count, 0)
    let dropped = min(excess, filled)
    excess -= dropped
    (start, end) = (dropped, dropped)
    while filled - end >= Self.prefixByteCount {
      let count = Self.prefixByteCount + prefix(at: end)
      if count <= filled - end {
        end += count
      } else if count > Self.prefixByteCount + maximumByteCount {
        excess = count - (filled - end)
        filled = end
      } else {
        break
      }
    }
    skipInvalid()
    return count
  }

  /// Reads one frame behind those that are there, from what has one for each read. One that is
  /// shorter than an Ethernet header or longer than the maximum is left out. There is room.
  ///
  /// - Parameter read: as read(2), with the header, into a buffer of `maximumByteCount` bytes.
  /// - Returns: what `read` returned.
  package mutating func add(_ read: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    precondition(hasRoom && open == nil, "a frame too many: \(byteCount) bytes")
    let place = end + Self.prefixByteCount
    let range = place..<place + maximumByteCount
    // SAFETY: the array is this value's alone while it is lent, and the range is checked.
    let count = unsafe bytes.withUnsafeMutableBytes { all in
      unsafe read(UnsafeMutableRawBufferPointer(rebasing: all[range]))
    }
    guard (Self.minimumByteCount + headerByteCount...maximumByteCount).contains(count) else {
      return count
    }
    bytes.storeBE(UInt32(count), at: end)
    end = place + count
    filled = end
    return count
  }

  /// Bytes of whole frames with their prefixes, from the first on: as many as fit in `limit`, but
  /// at least one frame's; 0 if there is none.
  package func byteCount(within limit: Int) -> Int {
    var place = start
    while place < end {
      let next = place + Self.prefixByteCount + prefix(at: place)
      if next - start > limit, place > start { break }
      place = next
    }
    return place - start
  }

  /// How many frames begin in the first `count` bytes of all: for counters.
  package func frameCount(in count: Int) -> Int {
    var (place, frames) = (start, 0)
    let limit = min(start + count, end)
    while place < limit {
      place += Self.prefixByteCount + prefix(at: place)
      frames += 1
    }
    return frames
  }

  /// Calls `body` with the first frames and their prefixes, `count` bytes as `byteCount(within:)`
  /// says.
  package func withStream<R>(byteCount count: Int, _ body: (RawSpan) -> R) -> R {
    // SAFETY: a byte is initialised and has no padding.
    body(unsafe bytes.span.bytes.extracting(start..<start + count))
  }

  /// Takes away what `withStream` had.
  package mutating func removeStream(byteCount count: Int) {
    start += count
    rewind()
  }

  private mutating func withBytes<R, E: Error>(
    _ range: Range<Int>, _ body: (inout MutableRawSpan) throws(E) -> R
  ) throws(E) -> R {
    var elements = bytes.mutableSpan
    // SAFETY: every bit pattern is a byte, and the range is checked.
    return try unsafe elements.withUnsafeMutableBytes { (all) throws(E) -> R in
      var part = unsafe UnsafeMutableRawBufferPointer(rebasing: all[range]).mutableBytes
      return try body(&part)
    }
  }

  private func prefix(at offset: Int) -> Int {
    Int(bytes.loadBE(at: offset, as: UInt32.self))
  }
}
