import Glibc
import HostSystem
import Testing

@testable import VMMCommand

@Suite(.timeLimit(.minutes(10))) struct InputQueueTests {
  private let guest = FakeGuest()

  private func isReadable(_ descriptor: Int32) -> Bool {
    var set = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    // SAFETY: the structure lives for the call.
    return unsafe poll(&set, 1, 0) == 1
  }

  @Test func aGuestThatTakesEverythingGetsItAtOnce() throws {
    let queue = try InputQueue(byteLimit: 4096, offer: guest.take)
    queue.guestHasRoom()
    #expect(guest.offerCount == 0, "nothing is not offered")
    queue.add(pattern(100))
    #expect(guest.bytes == pattern(100))
    queue.add(pattern(3000))
    #expect(guest.bytes == pattern(100) + pattern(3000))
    #expect(queue.availableByteCount() == 4096)
  }

  /// A serial port's FIFO, which says when it is empty: one offer for each time, and none in
  /// between.
  @Test func theRestIsOfferedWhenThereIsRoom() throws {
    guest.setAppetite(16)
    let queue = try InputQueue(byteLimit: 4096, offer: guest.take)
    queue.add(pattern(100))
    #expect(guest.offerCount == 1 && guest.bytes == pattern(16))
    queue.add(pattern(20))
    #expect(guest.offerCount == 1, "it is full, and says when it is not")
    for _ in 0..<7 { queue.guestHasRoom() }
    #expect(guest.bytes == pattern(100) + pattern(20) && guest.offerCount == 8)
    queue.add([7])
    #expect(guest.bytes.last == 7)
  }

  /// The reader stops when it is full, and is woken once when half of it is gone.
  @Test func aFullQueueStopsItsReader() throws {
    guest.setAppetite(0)
    let queue = try InputQueue(byteLimit: 100, offer: guest.take)
    #expect(queue.availableByteCount() == 100)
    queue.add(pattern(90))
    #expect(queue.availableByteCount() == 10)
    queue.add(pattern(10))
    #expect(queue.availableByteCount() == 0)
    guest.setAppetite(16)
    for _ in 0..<3 { queue.guestHasRoom() }
    #expect(!isReadable(queue.roomDescriptor), "48 of 100 are gone")
    queue.guestHasRoom()
    #expect(isReadable(queue.roomDescriptor))
    #expect(queue.availableByteCount() == 64)
    #expect(!isReadable(queue.roomDescriptor), "one wake-up for one wait")
    guest.setAppetite(.max)
    queue.guestHasRoom()
    #expect(!isReadable(queue.roomDescriptor))
    #expect(guest.bytes == pattern(90) + pattern(10))
  }

  /// One thread adds as there is room, one makes room: every byte, in its order.
  @Test func nothingIsLostBetweenThreads() throws {
    guest.setAppetite(3)
    let queue = try InputQueue(byteLimit: 64, offer: guest.take)
    let bytes = pattern(20_000)
    let stop = try Event()
    let reader = try ConsoleThread {
      var next = 0
      while next < bytes.count {
        let limit = queue.availableByteCount()
        if limit == 0 {
          _ = stop.wait(for: POLLIN, on: queue.roomDescriptor)
          continue
        }
        let end = min(next + limit, bytes.count)
        queue.add(Array(bytes[next..<end]))
        next = end
      }
    }
    #expect(
      eventually(seconds: 60) {
        for _ in 0..<100 { queue.guestHasRoom() }
        return guest.bytes.count == bytes.count
      })
    reader.join()
    let isSame = guest.bytes == bytes
    #expect(isSame)
  }
}
