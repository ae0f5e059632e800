import Devices
import FoundationEssentials
import Glibc
import HostSystem
import MachineSpecification
import TestSupport
import Testing

@testable import VMMCommand

@Suite struct LogFileTests {
  private let directory: TemporaryDirectory
  private let path: String

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.path("log")
    try directory.write(Array("old".utf8), to: "log")
  }

  private func failure(_ option: LogFileSpec) -> String? {
    do throws(LogFile.Failure) {
      _ = try LogFile(option)
      return nil
    } catch {
      return error.description
    }
  }

  @Test(arguments: [false, true]) func contentsGoLate(appends: Bool) throws {
    let file = try LogFile(LogFileSpec(file: path, appends: appends))
    #expect(try directory.contents("log") == "old")
    try file.begin()
    #expect(try directory.contents("log") == (appends ? "old" : ""))
  }

  /// Also after somebody has emptied it: `> log` while the run goes on leaves no hole.
  @Test func writesGoToTheEnd() throws {
    let file = try LogFile(LogFileSpec(file: path))
    try file.begin()
    try OutputFile.write("one", to: file.descriptor, named: "log")
    #expect(unsafe truncate(path, 0) == 0)
    try OutputFile.write("two", to: file.descriptor, named: "log")
    #expect(try directory.contents("log") == "two")
  }

  @Test("written anew it is what was written, longer or shorter than before")
  func replaced() throws {
    let file = try LogFile(LogFileSpec(file: path), isRewritten: true)
    for text in ["a longer text", "short", "a longer text", "x"] {
      try file.replace(with: Array(text.utf8), .ofProcess)
      #expect(try directory.contents("log") == text)
    }
  }

  @Test("a disk that is full leaves the old contents")
  func replacedOnAFullDisk() async {
    await #expect(processExitsWith: .exitCode(EFBIG)) {
      signal(SIGXFSZ, SIG_IGN)
      let directory = try TemporaryDirectory()
      let old = (0..<6000).map { UInt8(truncatingIfNeeded: $0) }
      try directory.write(old, to: "png")
      let file = try LogFile(LogFileSpec(file: directory.path("png")), isRewritten: true)
      try ProcessLimit.fileSize.set(8192)
      do throws(SystemError) {
        try file.replace(with: [UInt8](repeating: 7, count: 9000), .ofProcess)
      } catch {
        guard try directory.bytes("png") == old else { exit(1) }
        // What fits goes in again.
        try file.replace(with: [1, 2, 3], .ofProcess)
        guard try directory.bytes("png") == [1, 2, 3] else { exit(2) }
        exit(error.code)
      }
      exit(3)
    }
  }

  @Test(arguments: [false, true]) func aDiskOfAMachineIsRefused(isReadOnly: Bool) throws {
    try directory.write([UInt8](repeating: 7, count: 4096), to: "log")
    let disk = try RawImageStore(path: path, isReadOnly: isReadOnly)
    for appends in [false, true] {
      #expect(
        failure(LogFileSpec(file: path, appends: appends))
          == "cannot write \(path): another program uses it, perhaps as a disk; choose another file"
      )
    }
    #expect(try directory.bytes("log") == [UInt8](repeating: 7, count: 4096))
    withExtendedLifetime(disk) {}
  }

  /// As QEMU does: a shared lock of single bytes, by the open file.
  @Test func aDiskOfQEMUIsRefused() throws {
    let descriptor = try OutputFile.open(path, O_RDWR | O_CLOEXEC, named: path).release()
    defer { close(descriptor) }
    var lock = flock()
    lock.l_type = Int16(F_RDLCK)
    lock.l_whence = Int16(SEEK_SET)
    lock.l_start = 201
    lock.l_len = 1
    // F_OFD_SETLK. SAFETY: a local of the type that the command reads.
    try #require(unsafe fcntl(descriptor, 37, &lock) == 0)
    #expect(failure(LogFileSpec(file: path))?.contains("another program uses it") == true)
    #expect(try directory.contents("log") == "old")
  }

  @Test func theLogOfAnotherRunIsRefused() throws {
    let first = try LogFile(LogFileSpec(file: path, appends: true))
    #expect(failure(LogFileSpec(file: path, appends: true)) != nil)
    withExtendedLifetime(first) {}
  }

  @Test func aPipeWithoutAReaderIsRefusedAtOnce() throws {
    let fifo = directory.path("fifo")
    try #require(unsafe mkfifo(fifo, 0o600) == 0)
    #expect(
      failure(LogFileSpec(file: fifo))
        == "cannot write \(fifo): No such device or address (ENXIO); start the program that reads it "
        + "first")
    let reader = try OutputFile.open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC, named: fifo).release()
    defer { close(reader) }
    #expect(failure(LogFileSpec(file: fifo)) == nil)
  }

  @Test func whatCannotBeOpened() {
    #expect(
      failure(LogFileSpec(file: "/proc")) == "cannot write /proc: Is a directory (EISDIR)")
    #expect(
      failure(LogFileSpec(file: "/nonexistent/log"))
        == "cannot write /nonexistent/log: No such file or directory (ENOENT); "
        + "create its directory first")
  }

  /// Whatever it is that is found out last.
  @Test(arguments: [
    "run --kernel /nonexistent", "run --kernel @log", "run --kernel @kernel --memory 1M",
    "run --kernel @kernel --disk /nonexistent",
    "run --kernel @kernel --backing hugetlb --memory 3M",
    "run --kernel @kernel --memory 8T",
  ])
  func aRunThatIsRefusedLeavesThem(line: String) async throws {
    try directory.write(TestGuest.kernel(TestGuest.powerOff), to: "kernel")
    try directory.write(Array("old".utf8), to: "trace")
    let options = " --serial file:@log --trace-hypercalls @trace"
    let words = (line + options).replacing("@", with: directory.path("")).split(separator: " ")
    let outcome = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      [line = words.joined(separator: " ") as String] in
      _exit(VMMRun.run(line.split(separator: " ").map(String.init)).code)
    }
    let text = String(decoding: try #require(outcome).standardErrorContent, as: UTF8.self)
    #expect(text.hasPrefix("vmm-run: "))
    #expect(try directory.contents("log") == "old")
    #expect(try directory.contents("trace") == "old")
  }

  /// `vmm-run … --serial file:/dev/stdout >> log`.
  @Test func standardOutputKeepsWhatItHas() async {
    await #expect(processExitsWith: .exitCode(0)) { [path = path as String] in
      let output = try OutputFile.open(path, O_WRONLY | O_APPEND, named: path).release()
      guard dup2(output, STDOUT_FILENO) == STDOUT_FILENO else { _exit(1) }
      let file = try LogFile(LogFileSpec(file: "/dev/stdout"))
      try file.begin()
      var status = stat()
      guard unsafe fstat(file.descriptor, &status) == 0, status.st_size == 3 else { _exit(2) }
      _exit(0)
    }
  }
}
