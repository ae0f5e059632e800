internal import Glibc

/// What a trap of ours, or another crash, does to the process.
public enum CrashSignals {
  private static let all = [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGQUIT]

  /// Lets the signals of crashes end the process, whatever handled them.
  ///
  /// Programs that link Swift's runtime dynamically have its handlers, which start another program
  /// to print a backtrace. The sandbox forbids that: the process would die by SIGSYS, without a
  /// line, as the handlers block it. For the whole process, before `Sandbox.enterProcess`; not for
  /// programs whose own handlers get by with the list.
  public static func useDefaultActions() {
    for number in all {
      var action = sigaction()
      // SAFETY: the structure lives for the calls.
      guard unsafe sigaction(number, nil, &action) == 0 else { continue }
      let handler = unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      // 1 is SIG_IGN: what the starter of the process ignores stays ignored.
      if handler != 1 { _ = signal(number, SIG_DFL) }
    }
  }
}
