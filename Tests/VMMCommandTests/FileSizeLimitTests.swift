import Glibc
import TestSupport
import Testing

@testable import VMMCommand

/// What a limit of the host must not turn into the end of the process.
@Suite struct FileSizeLimitTests {
  @Test func writesPastTheLimitAreErrors() async {
    await #expect(processExitsWith: .exitCode(EFBIG)) {
      // Tests run on threads that block it.
      try ProcessSignals.unblock(SIGXFSZ)
      guard VMMRun.run(["--version"]).code == 0 else { _exit(100) }
      let path = "/tmp/limit-\(getpid())"
      // SAFETY: the path and the byte live for the calls.
      let file = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      guard file >= 0 else { _exit(101) }
      unsafe unlink(path)
      try ProcessLimit.fileSize.set(4096)
      var byte: UInt8 = 1
      guard unsafe pwrite(file, &byte, 1, 8192) == -1 else { _exit(103) }
      _exit(errno)
    }
  }
}
