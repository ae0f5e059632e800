import HostPages
import Testing

/// Holes in the address space, each in a process of its own, where nobody else maps memory into
/// them.
@Suite(
  .timeLimit(.minutes(10)),
  .enabled(if: WriteProtection.obstacle() == nil, "needs userfaultfd WP_ASYNC and PAGEMAP_SCAN"))
struct UnmappedMemoryTests {
  @Test func rangesThatAreNotMapped() async {
    await #expect(processExitsWith: .success) {
      let memory = try TestMemory(.anonymous)
      memory.unmap(500..<501)
      for pages in [0..<1024, 500..<501, 400..<501, 500..<600] {
        let range = memory.range(pages)
        #expect(throws: HostPagesError.invalidRange(range, reason: "some of it is not mapped")) {
          try WriteProtection([range])
        }
      }
      // Those before and behind the hole are.
      _ = try WriteProtection([memory.range(0..<500), memory.range(501..<1024)])
    }
  }

  @Test func oneLostPageIsAnErrorAndNotSilence() async {
    await #expect(processExitsWith: .success) {
      for backing in [Backing.anonymous, .transparentHuge, .memfd] {
        for page in [0, 500, 1023] {
          let memory = try TestMemory(backing, isPopulated: true)
          let protection = try WriteProtection([memory.range])
          try protection.arm()
          memory.unmap(page..<page + 1)
          #expect(throws: HostPagesError.registrationLost(memory.range)) {
            try protection.writtenPages(of: memory.range)
          }
        }
      }
    }
  }

  @Test func endAfterUnmappingSaysSo() async {
    await #expect(processExitsWith: .success) {
      let memory = try TestMemory(.anonymous)
      let protection = try WriteProtection([memory.range])
      try protection.arm()
      memory.unmap(0..<1024)
      #expect(throws: HostPagesError.registrationLost(memory.range)) {
        try protection.writtenPages(of: memory.range)
      }
      let error = #expect(throws: HostPagesError.self) { try protection.end() }
      #expect("\(error!)".contains("end the protection before the memory is unmapped"))
      #expect(throws: Never.self) { try protection.end() }
    }
  }
}
