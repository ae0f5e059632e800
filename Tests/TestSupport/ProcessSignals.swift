import Glibc

/// Signals of this process. For the processes of exit tests only.
public enum ProcessSignals {
  public struct Failure: Error {
    public init() {}
  }

  /// Lets a signal reach this thread and those it makes: the threads that tests run on block nearly
  /// all.
  public static func unblock(_ signal: Int32) throws {
    var set = sigset_t()
    // SAFETY: the set lives for the calls.
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, signal)
    guard unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil) == 0 else { throw Failure() }
  }
}
