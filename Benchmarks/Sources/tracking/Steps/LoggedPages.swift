import KVM
import Synchronization
import ZeroTracker

/// One slot's dirty log as the source, read as the library's own source does: into a buffer of its own,
/// then ORed. Says how long it took.
final class LoggedPages: WrittenPageSource {
  struct Times {
    /// The last reading as a whole.
    var reading = Duration.zero
    /// KVM_GET_DIRTY_LOG in it.
    var getDirtyLog = Duration.zero
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
    let getDirtyLog = try read(into: &words, clock)
    lastTimes.withLock {
      $0.reading = start.duration(to: clock.now)
      $0.getDirtyLog = getDirtyLog
    }
  }

  private func read(
    into words: inout MutableSpan<UInt64>, _ clock: ContinuousClock
  ) throws(KVMError) -> Duration {
    var log = [UInt64](repeating: 0, count: words.count)
    var span = log.mutableSpan
    let start = clock.now
    try machine.readDirtyLog(of: slot, into: &span)
    let duration = start.duration(to: clock.now)
    for index in words.indices { words[index] |= span[index] }
    return duration
  }

  func stop() throws {
    let clock = ContinuousClock()
    let start = clock.now
    try machine.setMemorySlot(slot, options: [])
    lastTimes.withLock { $0.turningOff = start.duration(to: clock.now) }
  }

  func forget(_ range: PageRange) -> Bool { false }
}
