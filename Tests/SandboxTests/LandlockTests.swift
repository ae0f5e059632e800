import Glibc
import Testing

@testable import Sandbox

/// In processes of their own: nothing leads out of it.
@Suite(
  .serialized, .timeLimit(.minutes(10)), .enabled(if: Landlock.abi > 0, "needs Landlock"))
struct LandlockTests {
  @Test func filesThatWereNotGiven() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let directory = try makeDirectory()
      let (given, other) = ("\(directory)/given", "\(directory)/other")
      for path in [given, other] { close(try create(path)) }
      let open = try #require(unsafe Optional(Glibc.open(other, O_RDONLY)))
      try NoNewPrivileges.set()
      try Landlock.restrict(to: [
        LandlockRule(given, .readFile), LandlockRule("\(directory)/nothing", .readFile),
      ])
      expect(errorOfOpening(given, O_RDONLY) == 0)
      expect(errorOfOpening(given, O_RDWR) == EACCES)
      expect(errorOfOpening(other, O_RDONLY) == EACCES)
      expect(errorOfOpening("\(directory)/new", O_RDWR | O_CREAT) == EACCES)
      expect(errorOfOpening("/etc/passwd", O_RDONLY) == EACCES)
      expect(errorOfOpening("\(directory)/nothing", O_RDONLY) == ENOENT)
      // What is open stays so.
      var byte: UInt8 = 0
      expect(unsafe read(open, &byte, 1) == 0)
      expect(unsafe unlink(other) == -1 && errno == EACCES)
      _exit(0)
    }
  }

  @Test func directories() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let directory = try makeDirectory()
      try NoNewPrivileges.set()
      try Landlock.restrict(to: [
        LandlockRule(directory, [.writeFile, .truncate, .makeFile, .removeFile])
      ])
      let (new, old) = ("\(directory)/new", "\(directory)/old")
      expect(errorOfOpening(new, O_WRONLY | O_CREAT | O_TRUNC) == 0)
      expect(unsafe rename(new, old) == 0)
      expect(errorOfOpening(old, O_RDONLY) == EACCES)
      expect(unsafe unlink(old) == 0)
      expect(unsafe mkdir("\(directory)/further", 0o700) == -1 && errno == EACCES)
      _exit(0)
    }
  }

  /// This process's part of /proc, and that only.
  @Test func ownProcesses() async {
    await #expect(processExitsWith: .exitCode(0)) {
      try NoNewPrivileges.set()
      try Landlock.restrict(to: [LandlockRule("/proc/self", .readFile)])
      expect(errorOfOpening("/proc/self/smaps", O_RDONLY) == 0)
      expect(errorOfOpening("/proc/thread-self/stat", O_RDONLY) == 0)
      expect(errorOfOpening("/proc/self/mem", O_RDWR) == EACCES)
      expect(errorOfOpening("/proc/\(getppid())/stat", O_RDONLY) == EACCES)
      expect(errorOfOpening("/proc/cpuinfo", O_RDONLY) == EACCES)
      _exit(0)
    }
  }

  @Test(.enabled(if: Landlock.abi >= 6, "needs Landlock ABI 6"))
  func signals() async {
    await #expect(processExitsWith: .exitCode(0)) {
      try NoNewPrivileges.set()
      try Landlock.restrict(to: [])
      expect(kill(getpid(), 0) == 0)
      expect(kill(getppid(), 0) == -1 && errno == EPERM)
      _exit(0)
    }
  }

  @Test func missingRights() async {
    await #expect(processExitsWith: .exitCode(0)) {
      // Of a file only: a directory's rights are taken off and not an error.
      let directory = try makeDirectory()
      close(try create("\(directory)/file"))
      try NoNewPrivileges.set()
      try Landlock.restrict(to: [LandlockRule("\(directory)/file", [.readFile, .makeFile])])
      expect(errorOfOpening("\(directory)/file", O_RDONLY) == 0)
      _exit(0)
    }
  }

  @Test func accessByABI() {
    #expect(LandlockAccess.all(abi: 0) == [])
    #expect(LandlockAccess.all(abi: 1).rawValue == 0x1FFF)
    #expect(LandlockAccess.all(abi: 2).rawValue == 0x3FFF)
    #expect(LandlockAccess.all(abi: 4).rawValue == 0x7FFF)
    #expect(LandlockAccess.all(abi: 7).rawValue == 0xFFFF)
  }
}

/// In a child that ends by _exit, where a recorded issue would be lost.
private func expect(_ condition: Bool, line: Int = #line) {
  if !condition { fatalError("expectation of line \(line)") }
}

/// 0 if it can be opened.
private func errorOfOpening(_ path: String, _ flags: Int32) -> Int32 {
  // SAFETY: the path is lent, terminated, for the call.
  let descriptor = unsafe open(path, flags, 0o600)
  let error = errno
  if descriptor >= 0 { close(descriptor) }
  return descriptor >= 0 ? 0 : error
}

private func create(_ path: String) throws -> Int32 {
  // SAFETY: the path is lent, terminated, for the call.
  let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
  try #require(descriptor >= 0)
  return descriptor
}

/// Left behind, empty or nearly: the process ends where it may not remove it.
private func makeDirectory() throws -> String {
  var template = Array("/tmp/sandbox-test-XXXXXX".utf8CString)
  // SAFETY: the template is terminated and lives for the call, which changes its last letters.
  try #require(unsafe mkdtemp(&template) != nil)
  return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
