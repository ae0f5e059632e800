internal import MachineSpecification

/// Where what the guest writes to its console goes, and where what it reads comes from.
///
/// All methods may be called from any thread.
protocol ConsoleBackend: Sendable {
  /// Takes what the guest wrote, in the order of the calls. Also before `start` and after `stop`.
  ///
  /// May wait for a reader, so it holds up a vCPU that calls it, as long as the `OutputPatience`
  /// lasts.
  func write(_ bytes: [UInt8])

  /// Begins: the machine is made, and nothing else can be refused. Input is read from now on, and a
  /// file is emptied. Call it once at most.
  ///
  /// - Parameter input: Receives bytes, and returns how many of them the guest took. The rest is
  ///   offered again when `guestHasRoom` is called.
  func start(input: @escaping @Sendable ([UInt8]) -> Int) throws(SystemError)

  /// The guest has room for input again, after it took less than it was offered, or there is
  /// another guest. What is typed faster than the guest takes it waits here, then where it comes
  /// from.
  func guestHasRoom()

  /// Ends input, and gives the terminal back.
  ///
  /// Returns after the last call of `input`, unless called from it. Repeated calls do nothing.
  func stop()

  /// Gives the terminal its settings back without waiting for anything: for
  /// `SignalWatcher.beforeImmediateExit`.
  func restoreTerminal()

  /// What to do when the process is stopped from a shell, and when it goes on; nil for
  /// nothing.
  var suspension: SignalWatcher.Suspension? { get }
}

extension ConsoleBackend {
  func guestHasRoom() {}
  func restoreTerminal() {}
  var suspension: SignalWatcher.Suspension? { nil }
}

extension SerialSpec {
  /// Makes the console; input begins with its `start`.
  ///
  /// - Parameters:
  ///   - onRequest: The user has pressed Ctrl-A and the letter of a request. Called on a thread of
  ///     the console's own.
  ///   - onQuit: The user has pressed Ctrl-A x. Called once at most, on the same thread, and may
  ///     call `stop`.
  func makeConsole(
    onRequest: @escaping @Sendable (RunRequest) -> Void = { _ in },
    onQuit: @escaping @Sendable () -> Void
  ) throws -> any ConsoleBackend {
    switch self {
    case .stdio: try StdioConsole(onRequest: onRequest, onQuit: onQuit)
    case .pty: try PtyConsole()
    case .file(let option): FileConsole(try LogFile(option))
    case .none: NoConsole()
    }
  }
}

/// A console without a user: output is lost, input never comes.
struct NoConsole: ConsoleBackend {
  func write(_ bytes: [UInt8]) {}
  func start(input: @escaping @Sendable ([UInt8]) -> Int) {}
  func stop() {}
}
