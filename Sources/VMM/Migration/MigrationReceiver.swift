internal import Bytes
internal import DeviceKit
internal import GuestMemory
internal import HostSystem
internal import ZeroTracker

/// The destination of a machine that moves: reads what it is, becomes it, and goes on with it when
/// the source says so.
///
/// ```swift
/// let receiver = try MigrationReceiver(socket)
/// configuration.restoration = MachineRestoration(receivedBy: receiver)
/// let machine = try Machine(configuration, control: control)  // takes memory and all else
/// try receiver.commit()
/// let outcome = machine.run()
/// ```
///
/// What comes may be anybody's: it is an error or a machine that the guest could have made itself.
/// Any thread, one at a time.
public final class MigrationReceiver: Sendable {
  private struct State {
    var saved: SavedMachine
    var sum = MigrationSum()
    var isOver = false
  }

  /// How long a machine that is ready waits for the word.
  private static let goSeconds = 30

  /// What the source said of the machine before its memory.
  public let offer: SavedMachine
  private let descriptor: Int32
  private let progress: Guarded<State>
  private let onComplete = Guarded<(@Sendable (SavedMachine) throws(MachineError) -> Void)?>(nil)

  /// Reads what the machine is.
  ///
  /// - Parameter descriptor: a connected stream socket, open as long as self is used.
  public init(_ descriptor: Int32) throws(MigrationError) {
    self.descriptor = descriptor
    let channel = try MigrationChannel(descriptor)
    try channel.receiveSignature()
    let bytes = try channel.receive(.offer)
    do throws(SavedMachineError) {
      offer = try SavedMachine(decoding: bytes)
    } catch {
      throw .format("\(error)")
    }
    progress = Guarded(State(saved: offer, sum: channel.receivedSum))
  }

  /// Has `body` look at the machine when all of it is there, before it is made: what it throws
  /// refuses it. The source has let go by then what both cannot have at a time.
  public func whenComplete(
    _ body: @escaping @Sendable (SavedMachine) throws(MachineError) -> Void
  ) {
    onComplete.withLock { $0 = body }
  }

  /// Tells the source why it is not to be; it goes on with the machine. Nothing happens after
  /// `commit`, or the second time.
  public func refuse(_ text: String) {
    let wasOver = progress.withLock { state in
      defer { state.isOver = true }
      return state.isOver
    }
    guard !wasOver, let channel = try? MigrationChannel(descriptor) else { return }
    channel.refuse(text)
  }

  /// Says that the machine is there, and waits for the word to go on with it.
  ///
  /// - Throws: the machine must not run then.
  public func commit() throws(MigrationError) {
    let channel = try MigrationChannel(descriptor)
    try channel.send(.ready)
    try channel.receive(.go, patienceSeconds: Self.goSeconds)
    progress.withLock { $0.isOver = true }
    // The source has ended by its own word: nothing that happens to this one changes that.
    try? channel.send(.running)
  }

  var state: SavedState { progress.withLock { $0.saved.state } }

  /// Takes memory and all else.
  func load(into guest: GuestMemory, control: MachineControl) throws(MachineError) {
    let saved: SavedMachine
    do throws(MigrationError) {
      let channel = try MigrationChannel(descriptor) { !control.isEnding }
      try channel.send(.accepted)
      saved = try receive(into: guest, channel)
    } catch {
      guard error != .cancelled else { throw .stopped }
      throw .configuration("the machine did not come: \(error)")
    }
    if let body = onComplete.withLock({ $0 }) { try body(saved) }
    progress.withLock { $0.saved = saved }
  }

  private func receive(
    into guest: GuestMemory, _ channel: MigrationChannel
  ) throws(MigrationError) -> SavedMachine {
    var intake = MigrationIntake(into: guest, after: progress.withLock { $0.sum })
    while true {
      let (frame, payload) = try channel.receive()
      if let saved = try intake.take(frame, payload) { return saved }
    }
  }
}

/// What a destination makes of frames, whoever sent them: memory, and then the machine's state.
struct MigrationIntake {
  /// The whole of memory goes over the connection as often as that, and no more.
  private static let maximumMemoryCount: UInt64 = 64
  /// As a saved machine's.
  private static let maximumStateByteCount = 2 << 30

  private let guest: GuestMemory
  private var sum: MigrationSum
  private var encoded: [UInt8] = []
  private var pageCount: UInt64 = 0

  /// - Parameter sum: of the frames that came before.
  init(into guest: GuestMemory, after sum: MigrationSum) {
    self.guest = guest
    self.sum = sum
  }

  /// Takes a frame whose checksum fits.
  ///
  /// - Returns: the machine with the last one; nil before.
  mutating func take(
    _ frame: MigrationFrame, _ payload: [UInt8]
  ) throws(MigrationError) -> SavedMachine? {
    switch frame.kind {
    case .pages:
      pageCount += UInt64(payload.count) / 4096
      guard pageCount <= (guest.ramByteCount >> 12) * Self.maximumMemoryCount else {
        throw .format("more memory than rounds can have")
      }
      try write(payload, at: frame.argument)
    case .zeroes: try clear(payload)
    case .state:
      guard encoded.count + payload.count <= Self.maximumStateByteCount else {
        throw .format("more of its state than there can be")
      }
      encoded += payload
    case .end:
      guard payload.count == 8, frame.argument == sum.frameCount,
        payload.loadLE(at: 0) == sum.value
      else { throw .format("something is missing") }
      do throws(SavedMachineError) {
        return try SavedMachine(decoding: encoded)
      } catch {
        throw .format("\(error)")
      }
    default: throw .format("kind \(frame.kind.rawValue) among the pages")
    }
    sum.add(frame)
    return nil
  }

  private func write(_ payload: [UInt8], at page: UInt64) throws(MigrationError) {
    guard !payload.isEmpty, payload.count % 4096 == 0, let address = GPA(GPN(rawValue: page)) else {
      throw .format("pages that are none")
    }
    do throws(GuestMemoryError) {
      try guest.write(payload, at: address)
    } catch {
      throw .format("\(error)")
    }
  }

  /// Makes pages zero again that had come otherwise.
  private func clear(_ payload: [UInt8]) throws(MigrationError) {
    guard payload.count % 16 == 0 else { throw .format("zero pages that are none") }
    for place in stride(from: 0, to: payload.count, by: 16) {
      let (start, count): (UInt64, UInt64) = (
        payload.loadLE(at: place), payload.loadLE(at: place + 8)
      )
      guard let address = GPA(GPN(rawValue: start)), count > 0, count <= 1 << 32 else {
        throw .format("zero pages that are none")
      }
      let byteCount = Int(count) * GPN.byteCount
      do throws(GuestMemoryError) {
        // Given back where that is possible: then they are reported as zero again, too.
        if guest.givesPagesBack {
          try guest.discard(at: address, byteCount: byteCount)
        } else {
          try guest.fill(at: address, byteCount: byteCount, with: 0)
        }
      } catch {
        throw .format("\(error)")
      }
    }
  }
}
