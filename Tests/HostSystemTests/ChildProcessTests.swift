import Glibc
import HostSystem
import TestSupport
import Testing

/// A socket pair that no child inherits by accident.
private final class TestPipe {
  let writeEnd: Int32
  private let readEnd: Int32
  private var isWriteEndOpen = true

  init() throws {
    (readEnd, writeEnd) = try UnixSocket.pair()
  }

  deinit {
    closeWriteEnd()
    close(readEnd)
  }

  func closeWriteEnd() {
    if isWriteEndOpen { close(writeEnd) }
    isWriteEndOpen = false
  }

  /// What comes until `isLast`, or until the last writer has gone.
  private func read(until isLast: (UInt8) -> Bool) -> String {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while unsafe Glibc.read(readEnd, &byte, 1) == 1 {
      bytes.append(byte)
      if isLast(byte) { break }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  func readToEnd() -> String { read { _ in false } }
  func readLine() -> String { read { $0 == UInt8(ascii: "\n") } }
}

@Suite(.timeLimit(.minutes(10))) struct ChildProcessTests {
  /// Runs a shell's script and gives what it wrote.
  private func run(
    _ script: String, inheriting inherited: [Int32] = []
  ) throws -> (text: String, ending: ChildProcess.Ending?) {
    let pipe = try TestPipe()
    let child = try ChildProcess(
      "/bin/sh", ["-c", script], inheriting: inherited,
      output: .file(descriptor: pipe.writeEnd))
    pipe.closeWriteEnd()
    let text = pipe.readToEnd()
    return (text, child.wait(seconds: 300))
  }

  @Test("it has the descriptors that it is given, and no others")
  func descriptors() throws {
    let first = try TestPipe()
    let second = try TestPipe()
    // Given in another order than they were opened, and over each other's numbers.
    let (text, ending) = try run(
      "ls /proc/$$/fd; echo a >&3; echo b >&4; cat <&0",
      inheriting: [second.writeEnd, first.writeEnd])
    #expect(text == "0\n1\n2\n3\n4\n")
    #expect(ending == .exited(status: 0))
    first.closeWriteEnd()
    second.closeWriteEnd()
    #expect(first.readToEnd() == "b\n" && second.readToEnd() == "a\n")
  }

  @Test("it inherits no blocked and no ignored signal, and no session")
  func signals() throws {
    let (text, _) = try run(
      "sed -n 's/^Sig[BI].*:\\t//p' /proc/self/status; cut -d ' ' -f 6 /proc/$$/stat; echo $$")
    let lines = text.split(separator: "\n")
    #expect(lines.count == 4)
    #expect(lines.prefix(2) == ["0000000000000000", "0000000000000000"])
    #expect(lines[2] == lines[3])
  }

  @Test(
    "how it ended is kept",
    arguments: [
      ("exit 7", ChildProcess.Ending.exited(status: 7)), ("kill -9 $$", .killed(signal: 9)),
    ])
  func endings(script: String, ending: ChildProcess.Ending) throws {
    let child = try ChildProcess("/bin/sh", ["-c", script], output: .nothing)
    #expect(child.wait(seconds: 300) == ending)
    #expect(child.result == ending && child.stop(seconds: 0) == ending)
  }

  @Test("one that does not heed SIGTERM is killed")
  func stubborn() throws {
    let pipe = try TestPipe()
    let child = try ChildProcess(
      "/bin/sh", ["-c", "trap '' TERM; echo; while :; do sleep 1; done"],
      output: .file(descriptor: pipe.writeEnd))
    // It has set its trap.
    #expect(pipe.readLine() == "\n")
    #expect(child.stop(seconds: 0) == .killed(signal: SIGKILL))
  }

  @Test("it is killed when its object goes")
  func owner() throws {
    let pipe = try TestPipe()
    var child: ChildProcess? = try ChildProcess(
      "/bin/sleep", ["1000"], output: .file(descriptor: pipe.writeEnd))
    #expect(child?.result == nil)
    child = nil
    pipe.closeWriteEnd()
    // Nobody holds the pipe any more.
    #expect(pipe.readToEnd() == "")
  }

  @Test("it ends with the thread that started it")
  func parent() throws {
    let started = Recorder<ChildProcess>()
    let thread = try HostThread {
      if let child = try? ChildProcess("/bin/sleep", ["1000"], output: .nothing) {
        started.append(child)
      }
    }
    thread.join()
    #expect(try #require(started.values.first).wait(seconds: 300) == .killed(signal: SIGKILL))
  }

  @Test(
    "what cannot be started is an error of the caller",
    arguments: [("/nonexistent", ENOENT), ("/", EACCES), ("/etc/passwd", EACCES)])
  func failures(path: String, code: Int32) {
    #expect(throws: Errno(code)) { try ChildProcess(path, [], output: .nothing) }
  }

  @Test("more descriptors than there is room for are refused")
  func tooMany() {
    #expect(throws: Errno(EINVAL)) {
      try ChildProcess(
        "/bin/true", [], inheriting: Array(repeating: 0, count: 14), output: .nothing)
    }
  }

  @Test("programs are found by PATH or by their path")
  func search() {
    #expect(ChildProcess.find("sh")?.hasSuffix("/sh") == true)
    #expect(ChildProcess.find("/bin/sh") == "/bin/sh")
    #expect(ChildProcess.find("no-such-program") == nil)
    #expect(ChildProcess.find("/etc") == nil && ChildProcess.find("/etc/passwd") == nil)
  }
}
