import Glibc
import HostPages
import TestSupport
import Testing

/// Order of calls, ranges no kernel takes, and memory that goes away.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: WriteProtection.obstacle() == nil, "needs userfaultfd WP_ASYNC and PAGEMAP_SCAN"))
struct LifecycleTests {
  private static func failure(_ body: () throws -> Void) -> HostPagesError? {
    do { try body() } catch { return error as? HostPagesError }
    return nil
  }

  @Test func readingBeforeArmingThrows() throws {
    let memory = try TestMemory(.anonymous)
    let protection = try WriteProtection([memory.range])
    #expect(throws: HostPagesError.notArmed) { try protection.writtenPages(of: memory.range) }
  }

  @Test(arguments: Memory.all)
  func afterTheEndEverythingThrowsAndMemoryIsFree(kind: Memory) throws {
    let memory = try kind.make()
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    memory.store(5, 7)
    try protection.end()
    try protection.end()
    #expect(throws: HostPagesError.ended) { try protection.writtenPages(of: memory.range) }
    #expect(throws: HostPagesError.ended) { try protection.arm() }
    #expect(memory.load(7) == 5 && memory.load(8) == 0)
    memory.store(6, 8)
    // It can be registered again, also when the first goes only later.
    let second = try WriteProtection([memory.range])
    try second.arm()
    memory.store(1, 600)
    #expect(try second.writtenPages(of: memory.range) == memory.marked([600]))
    _ = protection
  }

  @Test func theEndOfTheObjectUnregisters() throws {
    let memory = try TestMemory(.anonymous)
    for _ in 0..<3 {
      let protection = try WriteProtection([memory.range])
      try protection.arm()
    }
    #expect(throws: Never.self) { try WriteProtection([memory.range]) }
  }

  @Test func onlyRangesOfInitAreRead() throws {
    let memory = try TestMemory(.anonymous)
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    for range in [memory.range(0..<1), memory.range(1..<1024)] {
      let error = Self.failure { _ = try protection.writtenPages(of: range) }
      #expect(error == .invalidRange(range, reason: "it is not one of the ranges given to init"))
    }
  }

  @Test func rangesThatAreNoPages() throws {
    let memory = try TestMemory(.anonymous)
    let start = memory.range.start
    let cases: [(HostRange, String)] = [
      (HostRange(start: start + 1, byteCount: 4096), "the start is no multiple of 4096"),
      (HostRange(start: start, byteCount: 4097), "the length is no multiple of 4096"),
      (HostRange(start: start, byteCount: 0), "it holds no page"),
      (HostRange(start: start, byteCount: -4096), "it holds no page"),
      (HostRange(start: UInt.max - 4095, byteCount: 8192), "it ends past the last address"),
    ]
    for (range, reason) in cases {
      #expect(
        Self.failure { _ = try WriteProtection([range]) } == .invalidRange(range, reason: reason))
    }
    let text =
      "\(HostPagesError.invalidRange(HostRange(start: 4097, byteCount: 4096), reason: "x"))"
    #expect(text == "cannot write-protect 0x1001, 4096 bytes: x")
  }

  @Test(.enabled(if: HugePagePool.isAvailable, "needs huge pages"))
  func partOfAHugePageIsRefused() throws {
    let memory = try TestMemory(.hugetlb)
    let error = Self.failure { _ = try WriteProtection([memory.range(0..<256)]) }
    #expect(
      "\(try #require(error))".contains("Invalid argument (EINVAL); the range must be mapped"))
  }

  @Test func memoryOfTwoProtections() throws {
    let memory = try TestMemory(.anonymous)
    let protection = try WriteProtection([memory.range])
    let error = Self.failure { _ = try WriteProtection([memory.range(10..<20)]) }
    #expect("\(try #require(error))".contains("(EBUSY); another userfaultfd of this process"))
    // The failed one took nothing away.
    try protection.arm()
    memory.store(1, 15)
    #expect(try protection.writtenPages(of: memory.range) == [15])
  }

  @Test(arguments: Memory.all)
  func memoryMappedAnewIsAnErrorAndNotSilence(kind: Memory) throws {
    let memory = try kind.make()
    let protection = try WriteProtection([memory.range])
    try protection.arm()
    memory.store(1, 7)
    try memory.replace()
    memory.store(1, 8)
    #expect(throws: HostPagesError.registrationLost(memory.range)) {
      try protection.writtenPages(of: memory.range)
    }
    #expect(throws: HostPagesError.registrationLost(memory.range)) { try protection.arm() }
    #expect(throws: Never.self) { try protection.end() }
  }

  @Test func tooFewWordsTrap() async {
    await #expect(processExitsWith: .failure) {
      let memory = try TestMemory(.anonymous)
      let protection = try WriteProtection([memory.range])
      try protection.arm()
      var words = [UInt64](repeating: 0, count: 15)
      var span = words.mutableSpan
      try? protection.readWrittenPages(of: memory.range, into: &span)
      exit(0)
    }
  }
}
