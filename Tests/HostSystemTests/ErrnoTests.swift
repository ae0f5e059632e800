import Glibc
import HostSystem
import TestSupport
import Testing

@Suite struct ErrnoTests {
  @Test(
    arguments: [
      (ENOSPC, "No space left on device (ENOSPC)"), (EACCES, "Permission denied (EACCES)"),
      (EAGAIN, "Resource temporarily unavailable (EAGAIN)"),
      (EOPNOTSUPP, "Operation not supported (EOPNOTSUPP)"), (EHWPOISON, hardware),
      (9999, "error 9999"), (-1, "error -1"), (Int32.min, "error -2147483648"),
    ] as [(Int32, String)])
  func text(number: Int32, expected: String) {
    #expect("\(Errno(number))" == expected)
    #expect(Errno(rawValue: number).rawValue == number)
  }

  private static let hardware = "Memory page has hardware error (EHWPOISON)"

  @Test func everyNumberOfTheKernelHasANameAndOneLine() {
    // 41 and 58 are not used on x86-64.
    for number in Int32(1)...133 where number != 41 && number != 58 {
      let text = "\(Errno(number))"
      #expect(text.hasSuffix(")") && text.contains(" (E") && !text.contains("\n"), "\(number)")
    }
    #expect("\(Errno(41))" == "error 41" && "\(Errno(58))" == "error 58")
  }

  @Test func theCallingThreadsNumber() {
    // SAFETY: no memory is passed.
    #expect(close(-1) == -1)
    #expect(Errno.current == Errno(EBADF))
  }

  /// Where threads may open no file.
  @Test(arguments: ThreadRole.allCases)
  func underAFilter(role: ThreadRole) {
    let text = Recorder<String>()
    TestThreads.run(as: role, [{ text.append("\(Errno(ENOSPC)), \(Errno(ENOLCK))") }])
    #expect(text.values == ["No space left on device (ENOSPC), No locks available (ENOLCK)"])
  }
}
