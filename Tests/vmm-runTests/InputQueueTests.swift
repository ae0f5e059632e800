import Testing

@testable import vmm_run

@Suite struct InputQueueTests {
  private let guest = FakeGuest()
  private let retry = InputQueue.retryNanoseconds

  @Test func takesEverythingAtOnce() {
    var queue = InputQueue(guest.take)
    #expect(queue.isEmpty && queue.timeoutMilliseconds(at: 0) == -1)
    queue.offer(at: 5)
    #expect(guest.offerCount == 0, "nothing is not offered")
    queue.add(pattern(100))
    #expect(queue.timeoutMilliseconds(at: 5) == 0)
    queue.offer(at: 5)
    #expect(queue.isEmpty && guest.bytes == pattern(100))
    queue.add([1])
    queue.offer(at: 5)
    #expect(guest.offerCount == 2, "a guest that takes all is not slowed down")
  }

  @Test func whatIsLeftIsOfferedLaterWithWhatCame() {
    guest.setAppetite(2)
    var queue = InputQueue(guest.take)
    queue.add([1, 2, 3])
    queue.offer(at: 100)
    queue.add([4])
    queue.offer(at: 100 + retry - 1)
    #expect(guest.offerCount == 1 && guest.bytes == [1, 2])
    #expect(queue.timeoutMilliseconds(at: 100) == 10)
    #expect(queue.timeoutMilliseconds(at: 100 + retry - 1) == 1)
    queue.offer(at: 100 + retry)
    #expect(queue.isEmpty && guest.bytes == [1, 2, 3, 4])
  }

  @Test func atMostAHundredOffersASecond() {
    guest.setAppetite(0)
    var queue = InputQueue(guest.take)
    for millisecond in 0..<1000 as Range<UInt64> {
      queue.add([7])
      queue.offer(at: millisecond * 1_000_000)
    }
    #expect(guest.offerCount == 100)
  }

  @Test func holdsNoMoreThanATerminal() {
    guest.setAppetite(0)
    var queue = InputQueue(guest.take)
    for _ in 0..<3 { queue.add(pattern(3000)) }
    guest.setAppetite(.max)
    queue.offer(at: 0)
    #expect(guest.bytes == pattern(3000) + pattern(3000).prefix(1096))
  }
}
