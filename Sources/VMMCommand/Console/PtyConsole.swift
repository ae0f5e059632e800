import Glibc
import HostSystem
import Synchronization

/// The console on a new pseudo-terminal, for a terminal program to be attached to: its name is
/// printed once.
///
/// Programs come and go. What the guest writes while no program is attached is lost, as on a serial
/// port without a cable; it never holds up the guest. Bytes pass unchanged in both directions.
final class PtyConsole: ConsoleBackend {
  /// How long a program that is attached may leave output unread before output is lost.
  private static let patienceMilliseconds: Int32 = 1000
  /// How soon a program that attaches is noticed. The kernel has no event for it.
  private static let attachPollMilliseconds: Int32 = 100
  /// Bytes that wait for the guest here; more wait in the pseudo-terminal.
  private static let inputByteLimit = 4096

  /// What to attach a terminal program to, such as `/dev/pts/5`.
  let path: String

  private let controller: FileDescriptor
  private let stopSignal: Event
  private let writer: ConsoleWriter
  private let thread = Mutex<ConsoleThread?>(nil)
  private let queue = Mutex<InputQueue?>(nil)

  /// - Parameter print: Receives the line that names the pseudo-terminal.
  init(print: @Sendable (String) -> Void = { Diagnostics.report($0) }) throws(SystemError) {
    stopSignal = try Event.ofConsole()
    controller = try Self.open()
    path = try Self.prepare(controller.rawValue)
    writer = ConsoleWriter(
      PatientWriter(
        descriptor: controller.rawValue, name: path,
        policy: .loses(patienceMilliseconds: Self.patienceMilliseconds)),
      report: { _ in })
    print("the serial port is \(path)")
  }

  deinit {
    stop()
  }

  func write(_ bytes: [UInt8]) {
    writer.write(bytes)
  }

  func start(input: @escaping @Sendable ([UInt8]) -> Int) throws(SystemError) {
    let queue = try InputQueue(byteLimit: Self.inputByteLimit, offer: input)
    self.queue.withLock { $0 = queue }
    let thread = try ConsoleThread { [controller = controller.rawValue, stopSignal] in
      Self.read(controller, into: queue, stopSignal)
    }
    self.thread.withLock { $0 = thread }
  }

  func guestHasRoom() {
    queue.withLock { $0 }?.guestHasRoom()
  }

  func stop() {
    stopSignal.raise()
    thread.withLock { $0.take() }?.join()
  }

  private static func read(
    _ controller: Int32, into queue: InputQueue, _ stopSignal: Event
  ) {
    while true {
      let limit = queue.availableByteCount()
      let ready = stopSignal.wait(
        for: POLLIN, on: limit > 0 ? controller : queue.roomDescriptor)
      if ready.isRaised { return }
      guard limit > 0 else { continue }
      if ready.has(POLLIN), case .bytes(let bytes) = ConsoleReader.read(controller, limit: limit) {
        queue.add(bytes)
      } else if ready.events != 0 {
        // No program is attached; the descriptor says so for as long as that lasts.
        let pause = stopSignal.wait(
          for: 0, on: -1, timeoutMilliseconds: attachPollMilliseconds)
        if pause.isRaised { return }
      }
    }
  }

  private static func open() throws(SystemError) -> FileDescriptor {
    do throws(Errno) {
      return try FileDescriptor {
        // SAFETY: the path is lent, terminated, for the call.
        unsafe Glibc.open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
      }
    } catch {
      throw SystemError("open a pseudo-terminal", code: error.rawValue)
    }
  }

  /// Unlocks the other side and makes it raw: in its first state it would send the guest's output
  /// back as input. It is closed again, so that a hang-up shows that no program is attached.
  private static func prepare(_ controller: Int32) throws(SystemError) -> String {
    // ioctl_tty(2): TIOCSPTLCK with 0 unlocks, TIOCGPTN gives the number. Both are macros that are
    // not imported, and so are the functions of the C library.
    try control(controller, 0x4004_5431, 0)
    let path = "/dev/pts/\(try control(controller, 0x8004_5430, 0))"
    let other = try OutputFile.open(path, O_RDWR | O_NOCTTY | O_CLOEXEC, named: path)
    var settings = termios()
    // SAFETY: the structure lives for the calls.
    guard unsafe tcgetattr(other.rawValue, &settings) == 0 else {
      throw SystemError("read the settings of \(path)", code: errno)
    }
    unsafe cfmakeraw(&settings)
    guard unsafe tcsetattr(other.rawValue, TCSANOW, &settings) == 0 else {
      throw SystemError("set \(path) to raw mode", code: errno)
    }
    return path
  }

  @discardableResult
  private static func control(
    _ descriptor: Int32, _ request: UInt, _ value: Int32
  ) throws(SystemError) -> Int32 {
    var value = value
    // SAFETY: both requests take a pointer to an int, which lives for the call.
    let result = unsafe withUnsafeMutablePointer(to: &value) { pointer in
      unsafe ioctl(descriptor, request, UnsafeMutableRawPointer(pointer))
    }
    guard result == 0 else { throw SystemError("set up a pseudo-terminal", code: errno) }
    return value
  }
}
