import FoundationEssentials
import Glibc
import TestSupport
import Testing

@testable import VMMCommand

/// `vmm-run` itself, started as a shell starts it: for what happens before `VMMRun.run`, and for
/// signals, terminals and descriptors, which belong to whole processes.
final class Program {
  /// Lies beside the bundle of tests, from the same build.
  static let path: String? = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let capacity = buffer.count
    // SAFETY: the kernel writes at most the buffer's length.
    let count = unsafe buffer.withUnsafeMutableBytes { bytes in
      unsafe readlink(
        "/proc/self/exe", bytes.baseAddress!.assumingMemoryBound(to: CChar.self), capacity)
    }
    guard count > 0 else { return nil }
    let bundle = String(decoding: buffer[..<count], as: UTF8.self)
    let path = MachineSandbox.directory(of: bundle) + "/vmm-run"
    return unsafe access(path, X_OK) == 0 ? path : nil
  }()

  /// A sanitizer opens files by itself, and asks the kernel for more than the sandbox gives.
  static let canRun = path != nil && !Sanitizer.isActive

  /// What a descriptor of the new process is.
  enum Stream {
    case closed
    case descriptor(Int32)
    case null
  }

  /// How it ended.
  enum End: Equatable {
    case status(Int32)
    case signal(Int32)
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private(set) var end: End?
  let processID: pid_t

  /// Starts it.
  ///
  /// - Parameters:
  ///   - arguments: bytes, in no particular encoding.
  ///   - executable: something else to start.
  ///   - terminal: the path of a terminal that it gets as its controlling one, in a session of its
  ///     own.
  init(
    _ arguments: [[UInt8]], executable: String? = nil, input: Stream = .null,
    output: Stream = .null, error: Stream = .null, terminal: String? = nil,
    environment: [String] = ["TERM=xterm", "PATH=/usr/bin:/bin"]
  ) throws {
    guard let executable = executable ?? Self.path else {
      throw Failure(description: "there is no vmm-run beside the tests")
    }
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    // SAFETY: both live to the end of this function.
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    if let terminal {
      unsafe posix_spawn_file_actions_addopen(&actions, 0, terminal, O_RDWR, 0)
      unsafe posix_spawn_file_actions_adddup2(&actions, 0, 1)
      unsafe posix_spawn_file_actions_adddup2(&actions, 0, 2)
    }
    for (number, stream) in [(0, input), (1, output), (2, error)] as [(Int32, Stream)]
    where terminal == nil {
      switch stream {
      case .closed: unsafe posix_spawn_file_actions_addclose(&actions, number)
      case .descriptor(let descriptor):
        unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, number)
      case .null: unsafe posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
      }
    }
    // Threads of tests block signals, which a new process would inherit.
    var none = sigset_t()
    var all = sigset_t()
    unsafe sigemptyset(&none)
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    // POSIX_SPAWN_SETSIGDEF, SETSIGMASK; POSIX_SPAWN_SETSID.
    unsafe posix_spawnattr_setflags(&attributes, 0x04 | 0x08 | (terminal == nil ? 0 : 0x80))

    let words = CStrings([Array(executable.utf8)] + arguments)
    let variables = CStrings(environment.map { Array($0.utf8) })
    var processID = pid_t()
    let code = unsafe posix_spawn(
      &processID, executable, &actions, &attributes, words.pointers, variables.pointers)
    guard code == 0 else { throw Failure(description: "posix_spawn: error \(code)") }
    self.processID = processID
  }

  convenience init(
    _ line: String, input: Stream = .null, output: Stream = .null, error: Stream = .null,
    terminal: String? = nil
  ) throws {
    try self.init(
      line.split(separator: " ").map { Array($0.utf8) }, input: input, output: output,
      error: error, terminal: terminal)
  }

  deinit {
    if end == nil {
      kill(processID, SIGKILL)
      _ = wait()
    }
  }

  func send(_ signal: Int32) {
    kill(processID, signal)
  }

  /// Waits for its end.
  @discardableResult
  func wait() -> End {
    if let end { return end }
    var status: Int32 = 0
    // SAFETY: the status lives for the call.
    while unsafe waitpid(processID, &status, 0) < 0 && errno == EINTR {}
    // WIFEXITED and its kin are macros that are not imported.
    let end = status & 0x7F == 0 ? End.status(status >> 8 & 0xFF) : .signal(status & 0x7F)
    self.end = end
    return end
  }

  /// Whether it ends within a minute; it is killed if not.
  func endsByItself() -> Bool {
    let hasEnded = eventually(seconds: 60) {
      var status: Int32 = 0
      // SAFETY: the status lives for the call.
      guard unsafe waitpid(processID, &status, WNOHANG) == processID else { return false }
      end = status & 0x7F == 0 ? .status(status >> 8 & 0xFF) : .signal(status & 0x7F)
      return true
    }
    if !hasEnded {
      kill(processID, SIGKILL)
      wait()
    }
    return hasEnded
  }
}

/// Strings as execve(2) takes them: terminated each, and all of them by a null pointer.
@safe private final class CStrings {
  private(set) var pointers: [UnsafeMutablePointer<CChar>?] = unsafe []

  init(_ strings: [[UInt8]]) {
    for bytes in strings {
      // SAFETY: freed in deinit; there is room for the bytes and a zero.
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
      for (index, byte) in (bytes + [0]).enumerated() {
        unsafe (copy + index).initialize(to: CChar(bitPattern: byte))
      }
      unsafe pointers.append(copy)
    }
    unsafe pointers.append(nil)
  }

  deinit {
    for index in unsafe pointers.indices { unsafe pointers[index]?.deallocate() }
  }
}

/// All bytes of a pipe until its last writer has gone.
func readToEnd(from descriptor: Int32) -> [UInt8] {
  var bytes: [UInt8] = []
  while true {
    switch ConsoleReader.read(descriptor) {
    case .bytes(let more): bytes += more
    case .nothing: continue
    case .end: return bytes
    }
  }
}
