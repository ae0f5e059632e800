import HostSystem
import Synchronization

/// Bytes on their way from the console to the guest, which takes them when it can. Nothing is lost.
///
/// A reader offers its bytes, and so does the guest's thread when there is room again: then no
/// other thread has to wake up for each handful that a serial port takes. Only a reader that
/// stopped because the queue was full is woken, once half of it is gone. Safe from any thread.
final class InputQueue: Sendable {
  /// More than is ever offered at a time: what a serial port's FIFO holds is much less.
  private static let offeredByteCount = 64

  private struct State {
    var bytes: [UInt8] = []
    /// Those before it have been taken.
    var first = 0
    var hasWaitingReader = false

    var count: Int { bytes.count - first }
  }

  private let byteLimit: Int
  private let offer: @Sendable ([UInt8]) -> Int
  private let room: Event
  private let state = Mutex(State())

  /// - Parameters:
  ///   - byteLimit: how many bytes it holds.
  ///   - offer: Returns how many of the bytes the guest took. If not all, `guestHasRoom` is called
  ///     once the guest can take more. It must not call this queue.
  init(byteLimit: Int, offer: @escaping @Sendable ([UInt8]) -> Int) throws(SystemError) {
    self.byteLimit = byteLimit
    self.offer = offer
    room = try Event.ofConsole()
  }

  /// Readable when the reader that found no room should ask again.
  var roomDescriptor: Int32 { room.descriptor }

  /// How many bytes may be added now. If none, `roomDescriptor` becomes readable when there is
  /// room.
  func availableByteCount() -> Int {
    state.withLock { state in
      room.clear()
      state.hasWaitingReader = state.count >= byteLimit
      return byteLimit - state.count
    }
  }

  /// Adds bytes, at most as many as there was room for, and offers them.
  func add(_ more: [UInt8]) {
    state.withLock { state in
      precondition(
        more.count <= byteLimit - state.count, "\(more.count) bytes more than \(state.count)")
      let isFirst = state.count == 0
      if isFirst || state.first >= byteLimit {
        state.bytes.removeFirst(state.first)
        state.first = 0
      }
      state.bytes += more
      // Otherwise the guest is full, and says when it is not.
      if isFirst { offerAll(&state) }
    }
  }

  /// The guest has room again, or there is another guest.
  func guestHasRoom() {
    state.withLock { offerAll(&$0) }
  }

  private func offerAll(_ state: inout State) {
    while state.count > 0 {
      let end = min(state.first + Self.offeredByteCount, state.bytes.count)
      let offered = Array(state.bytes[state.first..<end])
      let taken = offer(offered)
      precondition(0...offered.count ~= taken, "took \(taken) of \(offered.count) bytes")
      state.first += taken
      if taken < offered.count { break }
    }
    if state.hasWaitingReader, state.count <= byteLimit / 2 {
      state.hasWaitingReader = false
      room.raise()
    }
  }
}
