internal import ControlAPI
internal import GuestMemory
internal import HostSystem
internal import MachineSpecification
internal import VMM

extension ControlledRun {
  /// No vCPU waits for it, so it may take longer than an answer.
  private static let budget = HugePageTrimmer.Budget(readByteCount: 4 << 30, milliseconds: 1000)

  /// Gives zero pages of sparsely used huge pages back. What it has no time for is the next one's.
  func trim() -> ControlReply {
    guard let machine = state.withLock({ $0.machine }) else { return Self.noMachine }
    guard let outcome = machine.trim(Self.budget) else {
      return .failure(
        .conflict,
        "nothing of this machine's memory can be given back: that needs Linux 6.12 with transparent"
          + " huge pages, and memory that is anonymous, not preallocated and not write-protected")
    }
    return .value(
      .members([
        ("given_back_bytes", .count(outcome.givenBackByteCount)),
        ("split_huge_pages", .count(UInt64(outcome.splitCount))),
        ("refused_huge_pages", .count(UInt64(outcome.refusedCount))),
      ]))
  }
}
