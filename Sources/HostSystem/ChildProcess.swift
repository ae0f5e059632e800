internal import CLinux
internal import Glibc

/// Another program, run beside the machine and ended with it.
///
/// It gets the descriptors it is given and no others, and a session of its own: the terminal's keys
/// are not for it. When the thread that started it ends, however it ends, the kernel kills the
/// program (*PR_SET_PDEATHSIG*, prctl(2)); a program that changes its user loses that and has to
/// notice that its sockets close. Any thread, except where a method says otherwise.
package final class ChildProcess: Sendable {
  /// Where a program writes what it has to say.
  package enum Output: Sendable {
    /// To this process's standard error.
    case standardError
    /// To an open file, which stays the caller's.
    case file(descriptor: Int32)
    /// Nowhere.
    case nothing
  }

  /// How a program ended.
  package enum Ending: Hashable, Sendable {
    case exited(status: Int32)
    case killed(signal: Int32)
  }

  /// Its number, for messages: signals go by the descriptor, which is never another program's.
  package let number: Int32
  private let process: FileDescriptor
  private let ending = Guarded<Ending?>(nil)

  /// Starts a program. Before guest memory is mapped, on a thread that lasts as long as the program
  /// is to: the main thread.
  ///
  /// - Parameters:
  ///   - path: the file, as `find` gives it.
  ///   - arguments: those after the program's own name.
  ///   - inherited: what become its descriptors 3, 4 and so on, at most 13; they stay the caller's.
  ///   - output: for its standard output and standard error; its input is empty.
  /// - Throws: when the host has no more processes or descriptors, or the file cannot be executed.
  package init(
    _ path: String, _ arguments: [String], inheriting inherited: [Int32] = [], output: Output
  ) throws(Errno) {
    let output: Int32 =
      switch output {
      case .standardError: STDERR_FILENO
      case .file(let descriptor): descriptor
      case .nothing: -1
      }
    var number: Int32 = 0
    process = try FileDescriptor {
      unsafe withCStrings([path] + arguments) { arguments in
        // SAFETY: all arguments live for the call, which returns after the program has been loaded.
        unsafe clinux_spawn(
          path, arguments, environ, inherited, inherited.count, output, &number)
      }
    }
    self.number = number
  }

  /// Kills the program if it runs.
  deinit {
    signal(SIGKILL)
    _ = wait(seconds: 10)
  }

  /// The file of a program that is named without its folder: the first of *PATH* that may be
  /// executed; nil without one. A name with a slash is its own answer.
  package static func find(_ name: String) -> String? {
    // SAFETY: no thread of ours changes the environment.
    let list = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
    let candidates =
      name.contains("/")
      ? [name]
      : list.split(separator: ":", omittingEmptySubsequences: false).map {
        $0.isEmpty ? name : "\($0)/\(name)"
      }
    return candidates.first { path in
      var status = stat()
      // SAFETY: both live for the calls.
      return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        && access(path, X_OK) == 0
    }
  }

  /// Readable from the program's end on: for poll(2) alone, as long as this object lives.
  package var descriptor: Int32 { process.rawValue }

  /// How it ended; nil while it runs.
  package var result: Ending? {
    ending.withLock { ending in
      var status: Int32 = 0
      // Its status is taken once: after that the number may be another program's.
      // SAFETY: it lives for the call.
      if ending == nil, unsafe clinux_reap(number, &status) == number {
        let signal = status & 0x7F
        ending = signal == 0 ? .exited(status: status >> 8 & 0xFF) : .killed(signal: signal)
      }
      return ending
    }
  }

  /// Asks it to end (*SIGTERM*), and kills it if it has not within the time.
  ///
  /// - Returns: how it ended; nil if the kernel did not let it go even then.
  @discardableResult
  package func stop(seconds: Int) -> Ending? {
    signal(SIGTERM)
    if let ending = wait(seconds: seconds) { return ending }
    signal(SIGKILL)
    return wait(seconds: 10)
  }

  /// Waits for its end.
  ///
  /// - Returns: nil if it did not come within the time.
  package func wait(seconds: Int) -> Ending? {
    let deadline = ContinuousClock.now + .seconds(seconds)
    while true {
      if let result { return result }
      let left = deadline - .now
      guard left > .zero else { return nil }
      let milliseconds = min(left.components.seconds, 3600) * 1000 + 1
      var poll = pollfd(fd: process.rawValue, events: Int16(POLLIN), revents: 0)
      // SAFETY: one element, which lives for the call. An interrupted wait goes on.
      _ = unsafe Glibc.poll(&poll, 1, Int32(milliseconds))
    }
  }

  private func signal(_ signal: Int32) {
    // Fails when it has ended.
    if result == nil { _ = clinux_signal_process(process.rawValue, signal) }
  }
}

/// Calls `body` with an array of C strings that ends with NULL.
private func withCStrings<R>(
  _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
  // SAFETY: each is freed below, after the call.
  let copies = unsafe texts.map { unsafe strdup($0) } + [nil]
  defer {
    for index in unsafe copies.indices { unsafe free(copies[index]) }
  }
  return unsafe copies.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
}
