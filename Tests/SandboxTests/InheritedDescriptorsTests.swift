import Glibc
import Testing

@testable import Sandbox

@Suite(.timeLimit(.minutes(10))) struct InheritedDescriptorsTests {
  @Test func closesWhatCameThroughExec() async {
    await #expect(processExitsWith: .exitCode(0)) {
      // SAFETY: paths are lent, terminated, for the calls.
      let inherited = unsafe open("/dev/null", O_RDONLY)
      let kept = unsafe open("/dev/null", O_RDONLY)
      let own = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
      var limit = rlimit()
      // SAFETY: the structure lives for the calls.
      expect(unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
      limit.rlim_cur = limit.rlim_max
      expect(unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
      expect(dup2(inherited, 1023) == 1023 && dup2(inherited, 1030) == 1030)
      InheritedDescriptors.close(except: [kept])
      func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }
      expect(isOpen(0) && isOpen(1) && isOpen(2))
      expect(!isOpen(inherited) && !isOpen(1023) && !isOpen(1030))
      expect(isOpen(kept) && isOpen(own))
      _exit(0)
    }
  }
}

/// In a child that ends by _exit, where a recorded issue would be lost.
private func expect(_ condition: Bool, line: Int = #line) {
  if !condition { fatalError("expectation of line \(line)") }
}
