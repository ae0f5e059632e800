import Glibc
import GuestMemory
public import HostSystem
public import Sandbox

/// The filter that a thread of the program would run under, for threads that tests make.
///
/// A call that the role may not make ends the tests by SIGSYS. Standard error then has the call,
/// and the stack that made it.
public enum ThreadFilter {
  /// Puts the calling thread under the role's filter, for good; it has to be one that ends with the
  /// test.
  ///
  /// Nothing happens where the kernel has no filters, nor with a sanitizer, which makes calls of
  /// its own.
  public static func enter(_ role: ThreadRole, _ policy: SandboxPolicy = SandboxPolicy()) {
    guard SeccompFilter.isAvailable, !Sanitizer.isActive else { return }
    _ = isReportReady
    do {
      // The threads that tests run on block nearly all signals, and a blocked SIGSYS has no
      // handler.
      try ProcessSignals.unblock(SIGSYS)
      try NoNewPrivileges.set()
      try policy.filter(for: role).install()
    } catch {
      fatalError("\(error)")
    }
  }

  // Of <execinfo.h>, which the importer does not see.
  private typealias Stack = UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private static let collect = unsafe unsafeBitCast(
    dlsym(nil, "backtrace"), to: (@convention(c) (Stack, Int32) -> Int32).self)
  private static let printOut = unsafe unsafeBitCast(
    dlsym(nil, "backtrace_symbols_fd"), to: (@convention(c) (Stack, Int32, Int32) -> Void).self)

  private nonisolated(unsafe) static let stack = Stack.allocate(capacity: 64)

  private static let isReportReady: Bool = {
    // What programs do while they have one thread.
    Allocator.keepFromFiles()
    GuestMemory.prepareProcess()
    // Found, and what they load by themselves loaded, while this thread may open files.
    printStack(to: -1)
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = { number in
      ThreadFilter.printStack(to: STDERR_FILENO)
      _ = signal(number, SIG_DFL)
      raise(number)
    }
    unsafe sigaction(SIGSYS, &action, nil)
    do {
      try ForbiddenCallReport.install(program: "tests: ", hint: "its stack follows")
    } catch {
      fatalError("\(error)")
    }
    return true
  }()

  /// Allocates nothing: the call may have been the allocator's, with its lock.
  private static func printStack(to descriptor: Int32) {
    // SAFETY: the functions are the C library's, and there is room for as many pointers.
    let count = unsafe collect(stack, 64)
    unsafe printOut(stack, count, descriptor)
  }
}
