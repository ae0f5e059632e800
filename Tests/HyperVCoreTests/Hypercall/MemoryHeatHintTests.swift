import HyperVCore
import Synchronization
import Testing

@Suite("Memory heat hints")
struct MemoryHeatHintTests {
  private final class Taken: Sendable {
    struct Hint: Equatable {
      let heat: MemoryHeat
      let pages: Range<UInt64>

      init(_ heat: MemoryHeat, _ pages: Range<UInt64>) {
        self.heat = heat
        self.pages = pages
      }
    }

    let hints = Mutex<[Hint]>([])
  }

  private let memory = FakeMemory()
  private let taken = Taken()

  private var hints: [Taken.Hint] { taken.hints.withLock { $0 } }

  private func dispatcher(
    _ heats: Set<MemoryHeat> = [.coldDiscard], pageBudget: Int = .max
  ) -> HypercallDispatcher {
    HypercallDispatcher(calls: [
      MemoryHeatHint(heats, pageBudget: pageBudget) { [taken] heat, pages in
        taken.hints.withLock { $0.append(.init(heat, pages)) }
        return pages.count
      }
    ])
  }

  /// Makes the call with this header and list, from the element `start` on.
  private func call(
    _ dispatcher: HypercallDispatcher, _ header: UInt64, _ ranges: [UInt64], from start: Int = 0
  ) -> UInt64 {
    let words = [header] + ranges
    memory.store(
      words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } },
      at: 0x1000)
    return dispatcher.dispatch(
      HypercallRequest(
        input: HypercallInput(
          callCode: .extendedMemoryHeatHint, repCount: ranges.count, repStartIndex: start),
        inputAddress: GuestAddress(rawValue: 0x1000), outputAddress: GuestAddress(rawValue: 0)),
      memory: memory
    ).result.rawValue
  }

  @Test("what stock Linux 6.12 sends: 2 MiB pages, two in the second range")
  func linux() {
    #expect(call(dispatcher(), 2, [0x9E0_0800, 0x9C0_0801]) == 2 << 32)
    #expect(
      hints == [.init(.coldDiscard, 0x9E00..<0xA000), .init(.coldDiscard, 0x9C00..<0xA000)])
  }

  @Test("an order below 2 MiB: pages of 4 KiB")
  func smallPages() {
    #expect(call(dispatcher(), 2, [0x1234_5000, 0x1234_5000 | 2047]) == 2 << 32)
    #expect(hints.map(\.pages) == [0x12345..<0x12346, 0x12345..<0x12B45])
  }

  @Test("after the budget the guest calls again, and nothing is done twice")
  func budget() {
    let dispatcher = dispatcher(pageBudget: 5)
    let list: [UInt64] = [0x1000_0003, 0x2000_0003, 0x3000_0003]
    #expect(call(dispatcher, 2, list) == 2 << 32)
    #expect(hints.map(\.pages.lowerBound) == [0x1_0000, 0x2_0000])
    #expect(call(dispatcher, 2, list, from: 2) == 3 << 32)
    #expect(hints.map(\.pages.lowerBound) == [0x1_0000, 0x2_0000, 0x3_0000])
  }

  @Test("a budget of nothing still lets each call do one")
  func noBudget() {
    #expect(call(dispatcher(pageBudget: 0), 2, [0x1000, 0x2000], from: 1) == 2 << 32)
    #expect(hints.count == 1)
  }

  @Test(
    "types that are not offered, and reserved bits: INVALID_PARAMETER",
    arguments: [0, 1, 3, 6, 1 << 63 | 2, .max] as [UInt64])
  func headers(header: UInt64) {
    #expect(call(dispatcher(), header, [0x1000]) == 5)
    #expect(call(dispatcher(), header, [0x1000, 0x2000], from: 1) == 5 | 1 << 32)
    #expect(hints.isEmpty)
  }

  @Test(
    "ranges that cannot be: INVALID_PARAMETER, after those before",
    arguments: [
      1 << 13 | 0x800, 1 << 20 | 0x800, 1 << 13 | 0x1800, .max & ~0x800, .max & ~0x1F_F000,
      0xFFFF_FFFF_FFE0_0FFF,
    ] as [UInt64])
  func badRange(range: UInt64) {
    #expect(call(dispatcher(), 2, [0x1000, range, 0x3000]) == 5 | 1 << 32)
    #expect(hints.map(\.pages) == [1..<2])
  }

  @Test("the last pages of the address space")
  func lastPages() {
    let end: UInt64 = 1 << 52
    #expect(call(dispatcher(), 2, [.max << 12, 0xFFFF_FFFF_FFE0_0800]) == 2 << 32)
    #expect(
      hints.map(\.pages) == [end - 1..<end, end - 512..<end])
  }

  @Test("pages of 1 GiB come to nothing, and are done")
  func gibibytes() {
    #expect(call(dispatcher(), 2, [0x4000_1800, 0x1000]) == 2 << 32)
    #expect(hints.map(\.pages) == [1..<2])
  }

  @Test("each type as the handler gets it, and the bits that offer them")
  func types() {
    let all = dispatcher([.cold, .hot, .coldDiscard])
    for header in 0...2 as ClosedRange<UInt64> { _ = call(all, header, [0x5000]) }
    #expect(hints.map(\.heat) == [.cold, .hot, .coldDiscard])
    #expect(capabilities(all) == [.memoryHeatHint, .memoryColdDiscardHint])
    #expect(capabilities(dispatcher()) == .memoryColdDiscardHint)
    #expect(capabilities(dispatcher([.hot])) == .memoryHeatHint)
  }

  private func capabilities(_ dispatcher: HypercallDispatcher) -> ExtendedCapabilities? {
    dispatcher.dispatch(
      HypercallRequest(
        input: HypercallInput(callCode: .extendedQueryCapabilities),
        inputAddress: GuestAddress(rawValue: 0), outputAddress: GuestAddress(rawValue: 0x2000)),
      memory: memory
    ).capabilities
  }

  @Test("the longest list: 511 ranges")
  func longest() {
    #expect(MemoryHeatHint.maximumRangeCount == 511)
    #expect(
      call(dispatcher(), 2, (1...511).map { UInt64($0) << 12 }) == 511 << 32)
    #expect(hints.count == 511)
  }

  @Test("what is composed is read back")
  func composed() {
    let sizes: [(GPAPageRange.PageSize, UInt64)] = [(.size4KiB, 1), (.size2MiB, 512)]
    for (size, factor) in sizes {
      for (first, count) in [(0, 1), (7, 2048), (1 << 30, 3)] as [(UInt64, Int)] {
        let range = GPAPageRange(firstPage: first, pageCount: count, of: size)
        #expect(range?.pageSize == size && range?.firstPage == first)
        #expect(range?.pageNumbers == first * factor..<(first + UInt64(count)) * factor)
      }
    }
    #expect(GPAPageRange(firstPage: 1, pageCount: 1, of: .size1GiB)?.pageNumbers == nil)
    #expect(GPAPageRange(firstPage: 1, pageCount: 0) == nil)
    #expect(GPAPageRange(firstPage: 1, pageCount: 2049) == nil)
    #expect(GPAPageRange(firstPage: 1 << 52, pageCount: 1) == nil)
    #expect(GPAPageRange(firstPage: 1 << 43, pageCount: 1, of: .size2MiB) == nil)
  }
}
