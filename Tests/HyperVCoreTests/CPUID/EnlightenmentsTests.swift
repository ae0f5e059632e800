import HyperVCore
import Testing

@Suite("Enlightenments")
struct EnlightenmentsTests {
  /// Bit, name, and what it needs with all that follows from it.
  static let table: [(Enlightenments, Int, String, Enlightenments)] = [
    (.relaxedTiming, 0, "relaxed", []),
    (.virtualAPIC, 1, "vapic", []),
    (.vpIndex, 2, "vpindex", []),
    (.vpRuntime, 3, "runtime", []),
    (.crash, 4, "crash", []),
    (.time, 5, "time", []),
    (.reset, 6, "reset", []),
    (.frequencies, 7, "frequencies", []),
    (.syntheticInterrupts, 8, "synic", .vpIndex),
    (.syntheticTimers, 9, "stimer", [.vpIndex, .time, .syntheticInterrupts]),
    (
      .directSyntheticTimers, 14, "stimer-direct",
      [.vpIndex, .time, .syntheticInterrupts, .syntheticTimers]
    ),
    (.tlbFlush, 10, "tlbflush", .vpIndex),
    (.extendedFlushRanges, 15, "tlbflush-ext", [.vpIndex, .tlbFlush]),
    (.ipi, 11, "ipi", .vpIndex),
    (.xmmInput, 17, "xmm-input", []),
    (.apicVirtualization, 21, "apicv", []),
    (.reenlightenment, 18, "reenlightenment", []),
    (.noNonArchitecturalCoreSharing, 22, "no-nonarch-coresharing", []),
    (.directFlush, 16, "tlbflush-direct", .virtualAPIC),
    (.enlightenedVMCS, 19, "evmcs", .virtualAPIC),
    (.enlightenedMSRBitmap, 20, "emsr-bitmap", []),
    (.extendedHypercalls, 12, "ext-hypercalls", []),
    (.bootZeroedMemory, 13, "boot-zeroed-memory", .extendedHypercalls),
    (.memoryHeatHint, 23, "memory-heat-hint", .extendedHypercalls),
  ]

  @Test("each one: bit, name, requirements", arguments: table)
  func entry(member: Enlightenments, bit: Int, name: String, needs: Enlightenments) {
    #expect(member.rawValue == 1 << UInt64(bit))
    #expect(member.description == name)
    #expect(Enlightenments.named(name) == member)
    #expect(Enlightenments.requirements(of: member) == needs)
    #expect(throws: Never.self) { try member.union(needs).validate() }
  }

  @Test("names come in a stable order and all have a bit")
  func names() {
    #expect(Enlightenments.names == Self.table.map(\.2))
    #expect(Enlightenments.all == Self.table.reduce(into: []) { $0.formUnion($1.0) })
    #expect(Enlightenments.all.members == Self.table.map(\.0))
    #expect(Enlightenments.named("avic") == .apicVirtualization)
  }

  @Test("unknown names", arguments: ["", "none", "Relaxed", "hv-relaxed", "relaxed ", "ext"])
  func unknownName(name: String) {
    #expect(Enlightenments.named(name) == nil)
  }

  @Test("texts of sets")
  func texts() {
    #expect("\(Enlightenments())" == "none")
    #expect("\([Enlightenments.time, .relaxedTiming] as Enlightenments)" == "relaxed,time")
    #expect("\(Enlightenments(rawValue: 1 << 63 | 1))" == "relaxed,0x8000000000000000")
  }

  @Test("each missing requirement is named", arguments: table.filter { !$0.3.isEmpty })
  func missing(member: Enlightenments, bit: Int, name: String, needs: Enlightenments) throws {
    for absent in needs.members {
      let chosen = Enlightenments.all.subtracting(absent)
        .intersection(member.union(needs).union(Enlightenments.requirements(of: needs)))
      let error = #expect(throws: EnlightenmentError.self) { try chosen.validate() }
      guard case .missing(let missing, _) = try #require(error).reason else {
        Issue.record("wrong reason \(String(describing: error))")
        continue
      }
      #expect(missing.contains(absent))
    }
  }

  @Test("the error says what to add")
  func errorText() {
    let error = #expect(throws: EnlightenmentError.self) {
      try ([.bootZeroedMemory, .time] as Enlightenments).validate()
    }
    #expect(
      error?.description == "cannot enable Hyper-V enlightenment boot-zeroed-memory without "
        + "ext-hypercalls; add ext-hypercalls or remove boot-zeroed-memory")
    let timers = #expect(throws: EnlightenmentError.self) {
      try Enlightenments.syntheticTimers.validate()
    }
    #expect(timers?.description.contains("add vpindex,time,synic or remove stimer") == true)
  }

  @Test("bits that are no enlightenment are refused", arguments: 24..<64)
  func unknownBits(bit: Int) {
    let set = Enlightenments(rawValue: 1 << UInt64(bit))
    #expect(set.unknownBits == set.rawValue)
    #expect(throws: EnlightenmentError(.unknownBits(set.rawValue))) { try set.validate() }
  }

  /// Every pair, and every pair taken out of all.
  static let sets: [Enlightenments] =
    [[], .all]
    + table.flatMap { first in
      table.flatMap { second in
        let pair = first.0.union(second.0)
        return [pair, Enlightenments.all.subtracting(pair)]
      }
    }

  @Test("what is gone takes along what needs it, and nothing else")
  func removing() throws {
    for missing in Self.sets {
      let left = Enlightenments.all.removing(missing)
      try left.validate()
      for row in Self.table where !left.contains(row.0) {
        #expect(
          !missing.isDisjoint(with: row.0.union(row.3)), "\(row.0) went with \(missing)")
      }
    }
    #expect(
      Enlightenments.all.removing(.syntheticInterrupts)
        == .all.subtracting([.syntheticInterrupts, .syntheticTimers, .directSyntheticTimers]))
  }

  @Test("selections begin with nothing, what is recommended, or everything")
  func selections() {
    let recommended: Enlightenments = [.time, .vpIndex]
    let all: Enlightenments = [.time, .vpIndex, .crash]
    func resolved(_ selection: EnlightenmentSelection) -> Enlightenments {
      selection.resolved(recommended: recommended, all: all)
    }
    #expect(resolved(.recommended) == recommended)
    #expect(resolved(EnlightenmentSelection(.all)) == all)
    #expect(resolved(.exactly(.reset)) == .reset)
    #expect(
      resolved(EnlightenmentSelection(.recommended, adding: .ipi, removing: .time))
        == [.vpIndex, .ipi])
  }

  @Test("adding the requirements makes any set valid")
  func closure() {
    for set in Self.sets {
      let closed = set.union(Enlightenments.requirements(of: set))
      #expect(throws: Never.self) { try closed.validate() }
    }
  }
}
