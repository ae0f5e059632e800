import GuestMemory
import HyperVCore
import MachineSpecification
import Testing
import VMM

/// Preallocated huge pages: the memory of which the host's own interfaces know nothing.
@Suite(
  .enabled(
    if: Host.hasKVM && MatrixHost.freeHugePageByteCount >= 1 << 30,
    "needs read-write /dev/kvm and 512 free 2 MiB pages"),
  .serialized, .timeLimit(.minutes(10)))
struct PreallocatedHugePagesTests {
  /// 16 MiB are written, half by the guest and half by the VMM, in blocks of 1 MiB all over 1 GiB.
  ///
  /// By looking, all of it would have to be read, which is more than an answer's budget.
  @Test(arguments: Host.sources.filter { $0 != .populated })
  func nearlyAllZeroMemoryIsReported(source: WrittenPageSourceKind) throws {
    let blocks = (0..<16).map { UInt64(32 << 20) + UInt64($0) * (60 << 20) + (1 << 20) }
    let probe = try Probe(
      Probe.introduction
        + blocks.prefix(8).map { .store(1, at: $0, count: 256, stride: 4096) }
        + [.hypercall(0x8002, out: Probe.reply)],
      transport: Host.transports.last!
    ) {
      $0.memoryByteCount = 1 << 30
      $0.backing = .hugetlb
      $0.isPreallocated = true
      $0.writtenPageSource = source
    } prepare: { memory in
      for block in blocks.suffix(8) {
        try memory.fill(at: GPA(block), byteCount: 1 << 20, with: 1)
      }
    }
    #expect(probe.outcome.exitStatus == 0)
    let ranges = try probe.bootZeroedReply()
    #expect(try probe.nonZeroPages(in: ranges) == [])
    let everything = BootZeroedRange(startPage: 0, pageCount: 1 << 18)
    let zeroCount = try (1 << 18) - probe.nonZeroPages(in: [everything]).count
    let reportedCount = ranges.reduce(0) { $0 + Int($1.pageCount) }
    #expect(reportedCount >= zeroCount * 95 / 100, "\(reportedCount) of \(zeroCount) zero pages")
  }
}
