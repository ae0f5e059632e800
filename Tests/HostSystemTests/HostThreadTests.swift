import Glibc
import HostSystem
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct HostThreadTests {
  @Test("a thread runs its closure once, knows itself, and is joined after its end")
  func runs() throws {
    let seen = Recorder<Bool>()
    let handle = Guarded<HostThread?>(nil)
    let (isKnown, box) = (TestSemaphore(), Box(handle))
    let thread = try HostThread {
      isKnown.wait()
      seen.append(box.value.withLock { $0?.isCurrent == true })
    }
    box.value.withLock { $0 = thread }
    #expect(!thread.isCurrent)
    isKnown.signal()
    thread.join()
    #expect(seen.values == [true])
  }

  private final class Box: Sendable {
    let value: Guarded<HostThread?>
    init(_ value: consuming Guarded<HostThread?>) {
      self.value = value
    }
  }

  @Test(
    "where the host gives no more threads the error says so, and the closure goes",
    .enabled(if: !Sanitizer.isActive, "a sanitizer needs its own address space"))
  func limit() async {
    await #expect(processExitsWith: .exitCode(0)) {
      final class Kept: Sendable {}
      weak var gone: Kept?
      // A stack's memory is not to be had.
      try ProcessLimit.addressSpace.set(64 << 20)
      do {
        let kept = Kept()
        gone = kept
        _ = try HostThread { _ = kept }
        _exit(1)
      } catch {
        guard (error as? HostThread.Failure)?.code == EAGAIN else { _exit(2) }
      }
      _exit(gone == nil ? 0 : 3)
    }
  }

  @Test("sleeping counts, being busy does not have to")
  func sleeps() {
    let before = HostThread.sleepCount
    TestThreads.nap(microseconds: 1000)
    #expect(HostThread.sleepCount > before)
  }
}

@Suite struct HostClockTests {
  @Test("clocks of this host")
  func clocks() {
    let (first, second) = (HostClock.monotonicNanoseconds(), HostClock.monotonicNanoseconds())
    #expect(second >= first && first > 0)
    var time = timespec()
    // SAFETY: a local of the type that the call fills.
    _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
    // Stepped by less than a day meanwhile.
    #expect(abs(HostClock.nanosecondsSince1970() / 1_000_000_000 - Int64(time.tv_sec)) < 86_400)
    #expect(abs(HostClock.utcOffsetSeconds) <= 14 * 3600)
  }

  @Test("a thread's time is its own: what another burns does not count")
  func threadTime() throws {
    let burnt = Recorder<UInt64>()
    let before = HostClock.threadNanoseconds()
    let thread = try HostThread {
      let start = HostClock.threadNanoseconds()
      while HostClock.threadNanoseconds() < start + 5_000_000 {}
      burnt.append(HostClock.threadNanoseconds() - start)
    }
    thread.join()
    #expect(burnt.values.allSatisfy { $0 >= 5_000_000 } && burnt.values.count == 1)
    #expect(HostClock.threadNanoseconds() >= before)
  }
}
