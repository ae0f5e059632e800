import Glibc
import Synchronization

/// The console on standard input and output.
///
/// Input from a terminal is read in raw mode, where Ctrl-C goes to the guest and Ctrl-A is for this
/// program (`EscapeFilter`). Input from anything else reaches the guest unchanged; its end just ends
/// the input. The terminal gets its settings back in `stop`, and however else the process ends.
final class StdioConsole: ConsoleBackend {
  /// Descriptors and what to do with messages, replaceable in tests.
  struct Streams: Sendable {
    var input: Int32 = STDIN_FILENO
    var output: Int32 = STDOUT_FILENO
    /// Whether the terminal is also restored by a crash. One console of a process at a time.
    var survivesCrash = true
    /// Text for the user.
    var print: @Sendable (String) -> Void = {
      try? OutputFile.write($0, to: STDERR_FILENO, named: "standard error")
    }
    var report: @Sendable (SystemError) -> Void = { Diagnostics.report($0) }
  }

  private let streams: Streams
  private let onQuit: @Sendable () -> Void
  private let terminal: Terminal?
  private let stopSignal: StopSignal
  /// A second opening of the output, or -1: see `openAgain`.
  private let ownOutput: Int32
  private let writer: ConsoleWriter
  private let thread = Mutex<ConsoleThread?>(nil)

  /// - Parameter onQuit: The user has pressed Ctrl-A x.
  init(streams: Streams = Streams(), onQuit: @escaping @Sendable () -> Void) throws(SystemError) {
    self.streams = streams
    self.onQuit = onQuit
    terminal = Terminal(descriptor: streams.input)
    stopSignal = try StopSignal()
    ownOutput = Self.openAgain(streams.output)
    writer = ConsoleWriter(
      descriptor: ownOutput >= 0 ? ownOutput : streams.output, name: "standard output",
      neverBlocks: ownOutput >= 0 || Self.isRegularFile(streams.output), stopSignal: stopSignal,
      report: streams.report)
  }

  deinit {
    stop()
    if ownOutput >= 0 { close(ownOutput) }
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

  private static func isRegularFile(_ descriptor: Int32) -> Bool {
    var status = stat()
    // SAFETY: the structure lives for the call.
    return unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// A non-blocking opening of a terminal or pipe of our own, so that no write ever waits in the
  /// kernel, where `stop` cannot end it. To set the flag on the inherited one would set it for other
  /// programs, too. -1 for what never waits, and what cannot be opened again, such as a socket.
  private static func openAgain(_ descriptor: Int32) -> Int32 {
    var status = stat()
    // SAFETY: the structure lives for the call.
    guard unsafe fstat(descriptor, &status) == 0 else { return -1 }
    let kind = status.st_mode & S_IFMT
    guard kind == S_IFCHR || kind == S_IFIFO else { return -1 }
    // SAFETY: the path is lent, terminated, for the call.
    return unsafe open(
      "/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
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
      stopSignal.raise()
      onQuit()
      return false
    }
    return true
  }
}
