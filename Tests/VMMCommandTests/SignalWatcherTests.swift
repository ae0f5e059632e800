import Glibc
import Synchronization
import TestSupport
import Testing

@testable import VMMCommand

/// In processes of their own: signals belong to the whole process. Sent to the watcher's thread,
/// since the test library has threads that do not block them.
@Suite struct SignalWatcherTests {
  @Test func theFirstSignalIsHandledOnceAndRemembered() async {
    await #expect(processExitsWith: .exitCode(42)) {
      let handled = Atomic<Int32>(0)
      let watcher = try SignalWatcher(onFirst: { signal in
        handled.add(signal, ordering: .sequentiallyConsistent)
      })
      #expect(watcher.receivedSignal == nil)
      watcher.send(SIGINT)
      while handled.load(ordering: .sequentiallyConsistent) == 0 { usleep(1000) }
      guard watcher.receivedSignal == SIGINT else { exit(1) }
      watcher.stop()
      watcher.stop()
      exit(handled.load(ordering: .sequentiallyConsistent) == SIGINT ? 42 : 2)
    }
  }

  @Test func requestsComeAsOftenAsOneLikesAndEndNothing() async {
    await #expect(processExitsWith: .exitCode(42)) {
      let signals = RunRequest.signals.map { $0.signal }
      for signal in signals { try ProcessSignals.unblock(signal) }
      SignalWatcher.ignoreRequests()
      for signal in signals { kill(getpid(), signal) }
      let seen = Mutex<[RunRequest]>([])
      let watcher = try SignalWatcher(
        onFirst: { _ in exit(1) }, onRequest: { request in seen.withLock { $0.append(request) } })
      var expected: [RunRequest] = []
      for _ in 1...5 {
        for (signal, request) in RunRequest.signals {
          expected.append(request)
          watcher.send(signal)
          while seen.withLock({ $0.count }) < expected.count { usleep(1000) }
        }
      }
      guard watcher.receivedSignal == nil else { exit(2) }
      watcher.stop()
      for signal in signals { kill(getpid(), signal) }
      exit(seen.withLock { $0 } == expected ? 42 : 3)
    }
  }

  @Test func theSecondSignalEndsTheProcess() async {
    await #expect(processExitsWith: .exitCode(128 + SIGTERM)) {
      let isHandled = Atomic(false)
      let watcher = try SignalWatcher(
        now: steps(), onFirst: { _ in isHandled.store(true, ordering: .releasing) },
        beforeImmediateExit: { Diagnostics.report("restored") })
      watcher.send(SIGINT)
      while !isHandled.load(ordering: .acquiring) { usleep(1000) }
      watcher.send(SIGTERM)
      sleep(30)
      exit(1)
    }
  }

  /// As timeout(1) sends them, to the process and to its group.
  @Test func twoAtOnceAreOne() async {
    await #expect(processExitsWith: .exitCode(42)) {
      let count = Atomic(0)
      let time = Atomic<UInt64>(7)
      let watcher = try SignalWatcher(
        now: { time.load(ordering: .sequentiallyConsistent) },
        onFirst: { _ in count.add(1, ordering: .sequentiallyConsistent) },
        beforeImmediateExit: { _exit(count.load(ordering: .sequentiallyConsistent) == 1 ? 42 : 2) })
      for signal in [SIGTERM, SIGTERM, SIGINT] {
        watcher.send(signal)
        usleep(50_000)
      }
      time.add(SignalWatcher.sameSignalNanoseconds, ordering: .sequentiallyConsistent)
      watcher.send(SIGTERM)
      sleep(30)
    }
  }

  @Test func beforeImmediateExitRuns() async {
    await #expect(processExitsWith: .exitCode(7)) {
      let isHandled = Atomic(false)
      let watcher = try SignalWatcher(
        now: steps(), onFirst: { _ in isHandled.store(true, ordering: .releasing) },
        beforeImmediateExit: { _exit(7) })
      watcher.send(SIGTERM)
      while !isHandled.load(ordering: .acquiring) { usleep(1000) }
      watcher.send(SIGTERM)
      sleep(30)
    }
  }

  /// Terminals and shells send it more than once.
  @Test func hangUpsAreOneOrderlyEnd() async {
    await #expect(processExitsWith: .exitCode(42)) {
      try ProcessSignals.unblock(SIGHUP)
      _ = signal(SIGHUP, SIG_DFL)
      let count = Atomic(0)
      let watcher = try SignalWatcher(
        onFirst: { _ in _exit(1) }, onHangUp: { count.add(1, ordering: .sequentiallyConsistent) })
      for _ in 0..<3 {
        watcher.send(SIGHUP)
        usleep(20_000)
      }
      while count.load(ordering: .sequentiallyConsistent) == 0 { usleep(1000) }
      guard watcher.receivedSignal == SIGHUP else { exit(2) }
      watcher.stop()
      exit(count.load(ordering: .sequentiallyConsistent) == 1 ? 42 : 3)
    }
  }

  /// As after nohup.
  @Test func anIgnoredHangUpStaysIgnored() async {
    await #expect(processExitsWith: .exitCode(42)) {
      _ = signal(SIGHUP, SIG_IGN)
      let watcher = try SignalWatcher(onFirst: { _ in _exit(1) }, onHangUp: { _exit(2) })
      watcher.send(SIGHUP)
      usleep(100_000)
      exit(watcher.receivedSignal == nil ? 42 : 3)
    }
  }

  @Test func aSignalShortensThePatience() async {
    await #expect(processExitsWith: .exitCode(42)) {
      let patience = OutputPatience()
      let isHandled = Atomic(false)
      let watcher = try SignalWatcher(
        patience: patience, onFirst: { _ in isHandled.store(true, ordering: .releasing) })
      guard !patience.isShortened else { exit(1) }
      watcher.send(SIGTERM)
      while !isHandled.load(ordering: .acquiring) { usleep(1000) }
      exit(patience.isShortened ? 42 : 2)
    }
  }

  @Test func stoppingRestoresTheMask() async {
    await #expect(processExitsWith: .exitCode(9)) {
      // The threads that tests run on may block signals of their own accord.
      unblockInterrupt()
      guard !blocksInterrupt() else { exit(4) }
      let watcher = try SignalWatcher(onFirst: { _ in exit(1) })
      guard blocksInterrupt() else { exit(2) }
      watcher.stop()
      exit(blocksInterrupt() || watcher.receivedSignal != nil ? 3 : 9)
    }
  }
}

/// A clock on which each signal comes a second after the one before.
private func steps() -> @Sendable () -> UInt64 {
  let time = Atomic<UInt64>(0)
  return { time.wrappingAdd(1_000_000_000, ordering: .sequentiallyConsistent).newValue }
}

private func blocksInterrupt() -> Bool {
  var mask = sigset_t()
  // SAFETY: the set lives for both calls.
  unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
  return unsafe sigismember(&mask, SIGINT) == 1
}

private func unblockInterrupt() {
  var mask = sigset_t()
  // SAFETY: the set lives for the calls.
  unsafe sigemptyset(&mask)
  unsafe sigaddset(&mask, SIGINT)
  unsafe pthread_sigmask(SIG_UNBLOCK, &mask, nil)
}
