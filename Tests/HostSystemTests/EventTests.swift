import Glibc
import HostSystem
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct EventTests {
  @Test("a raised event ends every wait, those to come included, until it is cleared")
  func raised() throws {
    let event = try Event()
    #expect(!event.isRaised && !event.wait(seconds: 0))
    #expect(
      event.wait(for: 0, on: -1, timeoutMilliseconds: 0)
        == Event.Readiness(isRaised: false, events: 0))
    event.raise()
    event.raise()
    for _ in 0..<2 {
      #expect(event.isRaised && event.wait(seconds: 3600))
      #expect(event.wait(for: 0, on: -1) == Event.Readiness(isRaised: true, events: 0))
    }
    event.clear()
    #expect(!event.isRaised && !event.wait(seconds: 0))
    #expect(!event.wait(for: 0, on: -1, timeoutMilliseconds: 0).isRaised)
    // What is not raised can be cleared, and then raised.
    event.clear()
    event.raise()
    #expect(event.wait(seconds: 3600))
  }

  @Test("all threads that wait return, and not before")
  func threads() throws {
    let event = try Event()
    let found = Recorder<Bool>()
    let threads = try (0..<4).map { _ in
      try HostThread { found.append(event.wait(seconds: 3600)) }
    }
    TestThreads.nap(microseconds: 20_000)
    #expect(found.values.isEmpty)
    event.raise()
    for thread in threads { thread.join() }
    #expect(found.values == [true, true, true, true])
  }

  @Test("a wait on a descriptor says which of the two came")
  func besideADescriptor() throws {
    let (event, other) = (try Event(), try Event())
    func wait() -> Event.Readiness {
      event.wait(for: POLLIN, on: other.descriptor, timeoutMilliseconds: 0)
    }
    #expect(wait() == Event.Readiness(isRaised: false, events: 0))
    other.raise()
    #expect(wait().has(POLLIN) && !wait().isRaised && !wait().has(POLLHUP))
    event.raise()
    #expect(wait().has(POLLIN) && wait().isRaised)
    other.clear()
    #expect(wait() == Event.Readiness(isRaised: true, events: 0))
    // No descriptor has this number.
    #expect(event.wait(for: POLLIN, on: 1_000_000).has(POLLNVAL))
  }

  @Test("no program that is started inherits one")
  func closedOnExec() throws {
    let event = try Event()
    #expect(fcntl(event.descriptor, F_GETFD) & FD_CLOEXEC != 0)
  }

  @Test("where the process has no more descriptors there is no event")
  func limit() async {
    await #expect(processExitsWith: .exitCode(EMFILE)) {
      try ProcessLimit.openFiles.set(0)
      do throws(Errno) {
        _ = try Event()
      } catch {
        _exit(error.rawValue)
      }
    }
  }

  /// The event that the handler below raises.
  private static let signalled: Event? = try? Event()

  @Test("a signal handler may raise one")
  func signalHandler() async {
    await #expect(processExitsWith: .exitCode(0)) {
      guard let event = Self.signalled else { _exit(1) }
      try ProcessSignals.unblock(SIGUSR2)
      _ = signal(SIGUSR2) { _ in EventTests.signalled?.raise() }
      _ = pthread_kill(pthread_self(), SIGUSR2)
      _exit(event.wait(seconds: 60) ? 0 : 2)
    }
  }

  /// Raising is for every thread; making and clearing is for service threads, as is waiting with a
  /// limit, except where vCPUs wait for their start.
  @Test(arguments: ThreadRole.allCases)
  func underAFilter(role: ThreadRole) throws {
    let event = try Event()
    TestThreads.run(as: role, [{ event.raise() }])
    #expect(event.isRaised && event.wait(seconds: 3600))
    guard role != .disk, role != .balloon else { return }
    let found = Recorder<Bool>()
    TestThreads.run(as: role, [{ found.append(event.wait(seconds: 3600)) }])
    #expect(found.values == [true])
    guard role == .service || role == .viewer else { return }
    TestThreads.run(as: role, [{ event.clear() }])
    #expect(!event.isRaised)
    event.raise()
    guard role == .service else { return }
    TestThreads.run(
      as: role,
      [
        {
          event.clear()
          found.append((try? Event()) != nil)
        }
      ])
    #expect(!event.isRaised && found.values == [true, true])
  }
}
