internal import Bytes
internal import HostSystem
internal import ZeroTracker

@testable internal import GuestMemory
@testable internal import VMM

/// What the destination of a machine that moves is sent: headers of any bytes, and frames whose
/// checksums fit, with any contents, in any order. Memory is what was sent, and no page is reported
/// that is not zero.
final class MigrationTarget: FuzzTarget {
  static let name = "migration"
  static let maximumInputByteCount = 2048
  static var role: ThreadRole { .service }

  private static let pageCount = 256
  /// From here on, so that some are behind the end.
  private static let firstPage: UInt64 = 160

  private let memory: GuestMemory

  /// One input's connection.
  private struct Connection {
    var intake: MigrationIntake
    var sum = MigrationSum()
    /// The byte that each page is filled with.
    var pages = [UInt8](repeating: 0, count: MigrationTarget.pageCount)
    /// A part of what was refused may be in memory.
    var isRefused = false
  }

  init() throws {
    memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: UInt64(Self.pageCount) * 4096),
      granularity: TrackingGranularity(byteCount: 4096))
    memory.tracker.attach(source: NothingWritten())
  }

  func run(_ input: FuzzInput) {
    do throws(GuestMemoryError) {
      try memory.discard(at: GPA(0), byteCount: Self.pageCount * 4096)
    } catch {
      fatalError("\(error)")
    }
    var connection = Connection(intake: MigrationIntake(into: memory, after: MigrationSum()))
    while !input.isEmpty {
      guard take(input, &connection) else { break }
    }
    if !connection.isRefused { check(connection) }
    checkAnswer()
  }

  // MARK: Frames

  /// Returns: whether more can come.
  private func take(_ input: FuzzInput, _ connection: inout Connection) -> Bool {
    switch input.byte % 8 {
    case 0...1: takePages(input, &connection)
    case 2...3: takeZeroes(input, &connection)
    case 4: send(.state, input.anyMagnitude, input.bytes(Int(input.byte)), &connection) == .more
    case 5: takeEnd(input, &connection)
    case 6: takeHeader(input)
    default:
      send(
        input.pick(MigrationFrame.Kind.allCases.filter { $0 != .pages && $0 != .zeroes }),
        input.anyMagnitude, [], &connection) == .more
    }
  }

  private func takePages(_ input: FuzzInput, _ connection: inout Connection) -> Bool {
    let choice = input.byte
    let page = choice & 0x80 == 0 ? Self.firstPage + UInt64(choice) : input.anyMagnitude
    let fills = (0...(input.byte & 3)).map { _ in input.byte }
    var payload = fills.flatMap { [UInt8](repeating: $0, count: 4096) }
    // Not whole, now and then.
    if choice & 0x7F == 0x7F { payload.removeLast(1 + Int(input.byte)) }
    guard send(.pages, page, payload, &connection) == .more else { return false }
    for (index, fill) in fills.enumerated() {
      let place = page &+ UInt64(index)
      require(place < UInt64(Self.pageCount), "page \(place) was taken")
      connection.pages[Int(place)] = fill
    }
    return true
  }

  private func takeZeroes(_ input: FuzzInput, _ connection: inout Connection) -> Bool {
    var runs: [(UInt64, UInt64)] = []
    for _ in 0...(input.byte & 3) {
      let choice = input.byte
      runs.append(
        choice & 0x80 == 0
          ? (Self.firstPage + UInt64(choice), UInt64(input.byte & 0x1F))
          : (input.anyMagnitude, input.anyMagnitude))
    }
    var payload = runs.flatMap { $0.littleEndianBytes + $1.littleEndianBytes }
    if input.byte == 0xFF { payload.removeLast() }
    guard send(.zeroes, input.anyMagnitude, payload, &connection) == .more else { return false }
    for (start, count) in runs {
      require(
        start < UInt64(Self.pageCount) && count <= UInt64(Self.pageCount) - start,
        "\(count) pages from \(start) on were taken")
      for page in start..<(start + count) { connection.pages[Int(page)] = 0 }
    }
    return true
  }

  private func takeEnd(_ input: FuzzInput, _ connection: inout Connection) -> Bool {
    let isRight = input.bool
    let sum = connection.sum
    let outcome = send(
      .end, isRight ? sum.frameCount : input.anyMagnitude,
      (isRight ? sum.value : input.uint64).littleEndianBytes, &connection)
    return outcome == .more
  }

  /// What a header says is in its kind's bounds, and it says nothing else.
  private func takeHeader(_ input: FuzzInput) -> Bool {
    var bytes = input.bytes(MigrationFrame.headerByteCount)
    bytes += [UInt8](repeating: 0, count: MigrationFrame.headerByteCount - bytes.count)
    guard let frame = try? MigrationFrame(decoding: bytes) else { return true }
    require(frame.byteCount <= frame.kind.maximumByteCount, "\(frame)")
    require(frame.header == bytes, "\(frame) of \(bytes)")
    return true
  }

  private enum Outcome {
    case more
    case over
  }

  private func send(
    _ kind: MigrationFrame.Kind, _ argument: UInt64, _ payload: [UInt8],
    _ connection: inout Connection
  ) -> Outcome {
    // SAFETY: the bytes are lent for the call.
    let frame = unsafe payload.withUnsafeBytes {
      unsafe MigrationFrame(kind, argument: argument, payload: $0)
    }
    do throws(MigrationError) {
      guard let saved = try connection.intake.take(frame, payload) else {
        connection.sum.add(frame)
        return .more
      }
      check(saved)
      return .over
    } catch {
      require(!error.description.contains("\n"), error.description)
      connection.isRefused = true
      return .over
    }
  }

  // MARK: What must be so

  private func check(_ saved: SavedMachine) {
    guard let again = try? SavedMachine(decoding: saved.encoded) else {
      fatalError("a machine that came does not decode")
    }
    require(again == saved, "a machine that came encodes to another")
  }

  private func check(_ connection: Connection) {
    for (page, fill) in connection.pages.enumerated() {
      for offset in [0, 4095] {
        let byte = try? memory.load(at: GPA(UInt64(page) << 12 | UInt64(offset)), as: UInt8.self)
        require(byte == fill, "page \(page) has \(byte ?? 0), not \(fill)")
      }
    }
  }

  private func checkAnswer() {
    for range in memory.tracker.zeroedRanges(replyPage: nil, limit: .max) {
      let address = GPA(range.start.rawValue << 12)
      let byteCount = Int(range.pageCount) * 4096
      let bytes = try? memory.read(at: address, byteCount: byteCount)
      require(bytes?.allSatisfy { $0 == 0 } == true, "\(range) is reported")
    }
  }
}
