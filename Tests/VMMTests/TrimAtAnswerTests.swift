import GuestMemory
import MachineSpecification
import Testing
import VMM

/// Giving zero pages of huge pages back at an answer to 0x8002.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct TrimAtAnswerTests {
  private static let first: UInt64 = 0x200_0000
  private static let hugePageCount: UInt64 = 16
  private static let steps =
    Probe.introduction + [
      .store(0xAB, at: first + 0x5000, count: hugePageCount, stride: 2 << 20),
      .hypercall(0x8002, out: Probe.reply),
    ]
  private static let budget = HugePageTrimmer.Budget(
    readByteCount: .max, milliseconds: 1_000_000)

  @Test(
    .enabled(if: HugePageTrimmer.obstacle == nil, "needs huge pages, and Linux 6.12"),
    arguments: Host.transports, Host.sources.filter { $0 != .writeProtect })
  func theAnswerGivesBackAndSaysTheSame(
    transport: HyperVTransport, source: WrittenPageSourceKind
  ) throws {
    var ranges: [String] = []
    var resident: [UInt64] = []
    for trims in [false, true] {
      let probe = try Probe(Self.steps, transport: transport) {
        $0.usesTransparentHugePages = true
        $0.writtenPageSource = source
        $0.trackingPolicy = .always
        $0.trimAtAnswer = trims ? Self.budget : nil
        $0.verifiesZeroedMemory = true
      }
      #expect(probe.outcome.exitStatus == 0)
      ranges.append("\(try probe.bootZeroedReply())")
      let memory = probe.machine.memory
      resident.append(try memory.residentByteCount())
      for page in 0..<Self.hugePageCount {
        let address = GPA(Self.first + 0x5000 + page << 21)
        #expect(try memory.load(at: address, as: UInt64.self) == 0xAB)
      }
      #expect((probe.machine.trimTotals != nil) == trims)
      guard let totals = probe.machine.trimTotals else { continue }
      #expect(totals.callCount == 1)
      #expect(totals.splitCount >= Self.hugePageCount)
      #expect(totals.givenBackByteCount >= Self.hugePageCount * 511 * 4096)
    }
    #expect(ranges[0] == ranges[1])
    #expect(resident[0] >= Self.hugePageCount << 21)
    #expect(resident[1] * 3 < resident[0], "\(resident)")
  }

  @Test func whatCannotBeIsSaid() throws {
    let cases: [(inout MachineConfiguration) -> Void] = [
      { $0.isPreallocated = true }, { $0.backing = .memfd }, { $0.backing = .hugetlb },
      { $0.writtenPageSource = .writeProtect },
    ]
    for change in cases {
      var configuration = MachineConfiguration(program: [0xF4], memoryByteCount: 16 << 20)
      configuration.trimAtAnswer = .default
      change(&configuration)
      let error = #expect(throws: MachineError.self) {
        try Machine(configuration, control: MachineControl())
      }
      #expect(error?.description.hasPrefix("zero pages of huge pages cannot be given back") == true)
    }
  }

  /// On request it is no error where it cannot be.
  @Test func onRequestOnly() throws {
    var configuration = MachineConfiguration(program: [0xF4], memoryByteCount: 16 << 20)
    #expect(try Machine(configuration, control: MachineControl()).trim() == nil)
    configuration.allowsTrimming = true
    let machine = try Machine(configuration, control: MachineControl())
    #expect((machine.trim() != nil) == (HugePageTrimmer.obstacle == nil))
    configuration.isPreallocated = true
    #expect(try Machine(configuration, control: MachineControl()).trim() == nil)
  }
}
