import Glibc
import HostSystem
import TestSupport
import Testing

@testable import Sandbox

/// What malloc and free ask of the kernel by themselves, on threads that may not open files. In
/// processes of their own, as the allocator remembers what it found in a file.
@Suite(
  .timeLimit(.minutes(10)),
  .enabled(if: SeccompFilter.isAvailable, "needs seccomp filters"),
  .disabled(if: Sanitizer.isActive, "a sanitizer has an allocator of its own"))
struct AllocatorTests {
  /// Blocks of all sizes up to 4 MiB, taken and given back until the top of the thread's heap is
  /// many times as large as what glibc gives back unless it is set otherwise.
  @Test(arguments: [ThreadRole.vcpu, .disk])
  func freeingLargeBlocksOpensNothing(role: ThreadRole) async {
    await #expect(processExitsWith: .exitCode(3)) { [number = role.rawValue as UInt16] in
      guard let role = ThreadRole(rawValue: number) else { fatalError("role \(number)") }
      TestThreads.run(
        as: role,
        [
          {
            for _ in 0..<3 {
              var blocks: [[UInt8]] = []
              for _ in 0..<16 {
                for shift in 4...22 { blocks.append([UInt8](repeating: 1, count: 1 << shift)) }
              }
              // The last first, so that the top grows.
              while blocks.popLast() != nil {}
            }
          }
        ])
      _exit(3)
    }
  }

  /// Forty threads that allocate: from the ninth arena on glibc counts the processors in a file,
  /// unless it knows how many arenas there may be.
  @Test func manyThreadsOpenNothing() async {
    await #expect(processExitsWith: .exitCode(3)) {
      Allocator.keepFromFiles()
      try NoNewPrivileges.set()
      let rules = SandboxPolicy().rules(for: .service, processID: UInt32(getpid()))
      try SeccompFilter(
        rules.filter { ![.openat, .schedGetaffinity].contains($0.call) },
        role: ThreadRole.service.rawValue
      ).install()
      let barrier = Barrier(count: 40)
      TestThreads.run(
        (0..<40).map { _ in
          {
            let block = [UInt8](repeating: 1, count: 5000)
            // All are alive at once, or one would take over another's arena.
            barrier.wait()
            precondition(block.count == 5000)
          }
        })
      _exit(3)
    }
  }
}

/// Where threads wait for each other.
///
/// Sendable: the memory is there as long as self, and pthread_barrier_wait(3) alone uses it.
@safe private final class Barrier: @unchecked Sendable {
  private let barrier: UnsafeMutablePointer<pthread_barrier_t>

  init(count: UInt32) {
    unsafe barrier = .allocate(capacity: 1)
    unsafe pthread_barrier_init(barrier, nil, count)
  }

  deinit {
    unsafe pthread_barrier_destroy(barrier)
    unsafe barrier.deallocate()
  }

  func wait() {
    unsafe pthread_barrier_wait(barrier)
  }
}
