import Glibc
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
    /// With those who read the output.
    var patience = OutputPatience.ofProcess
    /// Text for the user.
    var print: @Sendable (String) -> Void = {
      // The thread that reads keys must not wait for long.
      try? OutputFile.write(
        $0, to: STDERR_FILENO, named: "standard error",
        policy: .loses(patienceMilliseconds: OutputPatience.lastMilliseconds))
    }
    var report: @Sendable (SystemError) -> Void = { Diagnostics.report($0) }
  }

  private let streams: Streams
  private let onQuit: @Sendable () -> Void
  private let terminal: Terminal?
  private let stopSignal: StopSignal
  private let output: StandardOutput
  private let writer: ConsoleWriter
  private let thread = Mutex<ConsoleThread?>(nil)

  /// - Parameter onQuit: The user has pressed Ctrl-A x.
  init(streams: Streams = Streams(), onQuit: @escaping @Sendable () -> Void) throws(SystemError) {
    self.streams = streams
    self.onQuit = onQuit
    terminal = Terminal(descriptor: streams.input)
    stopSignal = try StopSignal()
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
    let loop = InputLoop(
      streams: streams, isTerminal: terminal != nil, stopSignal: stopSignal, onQuit: onQuit)
    do throws(SystemError) {
      let thread = try ConsoleThread { loop.run(input) }
      self.thread.withLock { $0 = thread }
    } catch {
      terminal?.restore()
      throw error
    }
  }

  func stop() {
    stopSignal.raise()
    thread.withLock { $0.take() }?.join()
    terminal?.restore()
  }

  func restoreTerminal() {
    terminal?.restore()
  }
}

/// What the console's thread does. It holds this and not the console, which so can end before it.
private struct InputLoop: Sendable {
  let streams: StdioConsole.Streams
  let isTerminal: Bool
  let stopSignal: StopSignal
  let onQuit: @Sendable () -> Void

  func run(_ input: @escaping @Sendable ([UInt8]) -> Int) {
    var queue = InputQueue(input)
    var filter = EscapeFilter()
    var isOpen = true
    while isOpen || !queue.isEmpty {
      queue.offer(at: MonotonicClock.nanoseconds())
      // A terminal is read even when the guest takes nothing: Ctrl-A x must work just then. What
      // comes from a pipe waits there.
      let reads = isOpen && (isTerminal || queue.isEmpty)
      if !isOpen, queue.isEmpty { return }
      let ready = stopSignal.wait(
        for: POLLIN, on: reads ? streams.input : -1,
        timeoutMilliseconds: queue.timeoutMilliseconds(at: MonotonicClock.nanoseconds()))
      if ready.isStopped { return }
      guard ready.events != 0 else { continue }
      switch ConsoleReader.read(streams.input) {
      case .nothing: break
      case .end: isOpen = false
      case .bytes(let bytes) where isTerminal:
        for event in filter.process(bytes) where !handle(event, &queue) { return }
      case .bytes(let bytes): queue.add(bytes)
      }
    }
  }

  /// False when it was the end.
  private func handle(_ event: EscapeFilter.Event, _ queue: inout InputQueue) -> Bool {
    switch event {
    case .input(let bytes):
      queue.add(bytes)
    case .help:
      streams.print(EscapeFilter.helpText)
    case .quit:
      // A vCPU that waits for a reader must not hold up the end.
      streams.patience.shorten()
      onQuit()
      return false
    }
    return true
  }
}
