import Glibc
import HostSystem
import Synchronization

/// The console on standard input and output.
///
/// Input from a terminal is read in raw mode, where Ctrl-C goes to the guest and Ctrl-A is for this
/// program (`EscapeFilter`). Input from anything else reaches the guest unchanged; its end just
/// ends the input. The terminal gets its settings back in `stop`, and however else the process
/// ends.
final class StdioConsole: ConsoleBackend {
  /// Descriptors and what to do with messages, replaceable in tests.
  struct Streams: Sendable {
    var input: Int32 = STDIN_FILENO
    var output: Int32 = STDOUT_FILENO
    /// Whether the terminal is also restored by a crash. One console of a process at a time.
    var survivesCrash = true
    /// With the readers of the output.
    var patience = OutputPatience.ofProcess
    /// Text for the user.
    var print: @Sendable (String) -> Void = { Diagnostics.tell(lines: $0) }
    var report: @Sendable (SystemError) -> Void = { Diagnostics.report($0) }
  }

  /// Bytes of a pipe that wait for the guest here: more wait in the pipe.
  private static let pipeByteLimit = 4096
  /// The same of a terminal. It is read far ahead of the guest, so that Ctrl-A x is heard just when
  /// the guest takes nothing, whatever was pasted before.
  private static let terminalByteLimit = 1 << 20

  private let streams: Streams
  private let onQuit: @Sendable () -> Void
  private let onRequest: @Sendable (RunRequest) -> Void
  private let terminal: Terminal?
  private let stopSignal: Event
  private let output: StandardOutput
  private let writer: ConsoleWriter
  private let thread = Mutex<ConsoleThread?>(nil)
  private let queue = Mutex<InputQueue?>(nil)

  /// - Parameters:
  ///   - onRequest: The user has pressed Ctrl-A and the letter of a request.
  ///   - onQuit: The user has pressed Ctrl-A x.
  init(
    streams: Streams = Streams(), onRequest: @escaping @Sendable (RunRequest) -> Void = { _ in },
    onQuit: @escaping @Sendable () -> Void
  ) throws(SystemError) {
    self.streams = streams
    self.onQuit = onQuit
    self.onRequest = onRequest
    terminal = Terminal(descriptor: streams.input)
    stopSignal = try Event.ofConsole()
    output = StandardOutput(streams.output)
    writer = ConsoleWriter(output.writer(streams.patience), report: streams.report)
  }

  deinit {
    stop()
  }

  func write(_ bytes: [UInt8]) {
    writer.write(bytes)
  }

  func start(input: @escaping @Sendable ([UInt8]) -> Int) throws(SystemError) {
    try terminal?.enterRawMode(keepsSignals: false, survivesCrash: streams.survivesCrash)
    do throws(SystemError) {
      let queue = try InputQueue(
        byteLimit: terminal == nil ? Self.pipeByteLimit : Self.terminalByteLimit, offer: input)
      self.queue.withLock { $0 = queue }
      let loop = InputLoop(
        streams: streams, terminal: terminal, queue: queue, stopSignal: stopSignal,
        onRequest: onRequest, onQuit: onQuit)
      let thread = try ConsoleThread { loop.run() }
      self.thread.withLock { $0 = thread }
    } catch {
      terminal?.restore()
      throw error
    }
  }

  func guestHasRoom() {
    queue.withLock { $0 }?.guestHasRoom()
  }

  func stop() {
    stopSignal.raise()
    thread.withLock { $0.take() }?.join()
    terminal?.restore()
  }

  func restoreTerminal() {
    terminal?.restore()
  }

  var suspension: SignalWatcher.Suspension? {
    terminal.map { terminal in
      SignalWatcher.Suspension(
        before: { terminal.suspend() }, after: { terminal.resume() })
    }
  }
}

/// What the console's thread does. It holds this and not the console, which so can end before it.
private struct InputLoop: Sendable {
  /// How soon a terminal is noticed that is ours again: `fg` sends no signal to what runs already.
  private static let foregroundPollMilliseconds: Int32 = 200

  let streams: StdioConsole.Streams
  let terminal: Terminal?
  let queue: InputQueue
  let stopSignal: Event
  let onRequest: @Sendable (RunRequest) -> Void
  let onQuit: @Sendable () -> Void

  func run() {
    var filter = EscapeFilter()
    while true {
      if let terminal, !terminal.isOurs {
        // What is typed now is for others, and to read it would stop this process (SIGTTIN).
        let pause = stopSignal.wait(
          for: 0, on: -1, timeoutMilliseconds: Self.foregroundPollMilliseconds)
        if pause.isRaised { return }
        terminal.takeBack()
        continue
      }
      let limit = queue.availableByteCount()
      let ready = stopSignal.wait(
        for: POLLIN, on: limit > 0 ? streams.input : queue.roomDescriptor)
      if ready.isRaised { return }
      guard limit > 0, ready.events != 0, terminal?.isOurs != false else { continue }
      switch ConsoleReader.read(streams.input, limit: limit) {
      case .nothing: break
      // What is left in the queue the guest fetches by itself.
      case .end: return
      case .bytes(let bytes) where terminal != nil:
        for event in filter.process(bytes) where !handle(event) { return }
      case .bytes(let bytes): queue.add(bytes)
      }
    }
  }

  /// False when it was the end.
  private func handle(_ event: EscapeFilter.Event) -> Bool {
    switch event {
    case .input(let bytes):
      queue.add(bytes)
    case .help:
      streams.print(EscapeFilter.helpText)
    case .request(let request):
      onRequest(request)
    case .quit:
      // A vCPU that waits for a reader must not hold up the end.
      streams.patience.shorten()
      onQuit()
      return false
    }
    return true
  }
}
