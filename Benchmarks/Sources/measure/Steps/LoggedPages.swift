import KVM
import Synchronization
import ZeroTracker

/// One slot's dirty log as the source, read as the library's own source does. Says how long it
/// took.
final class LoggedPages: WrittenPageSource {
  struct Times {
    /// The last reading.
    var reading = Duration.zero
    /// The last turning off.
    var turningOff = Duration.zero
  }

  private let machine: VirtualMachine
  private let slot: MemorySlot
  private let lastTimes = Mutex(Times())

  init(machine: VirtualMachine, slot: MemorySlot) {
    self.machine = machine
    self.slot = slot
  }

  var times: Times { lastTimes.withLock { $0 } }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    let clock = ContinuousClock()
    let start = clock.now
    try machine.addDirtyLog(of: slot, to: &words)
    lastTimes.withLock { $0.reading = start.duration(to: clock.now) }
  }

  func stop() throws {
    let clock = ContinuousClock()
    let start = clock.now
    try machine.setMemorySlot(slot, options: [])
    lastTimes.withLock { $0.turningOff = start.duration(to: clock.now) }
  }

  func forget(_ range: PageRange) -> Bool { false }
}
