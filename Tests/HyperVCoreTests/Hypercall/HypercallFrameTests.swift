import HyperVCore
import Synchronization
import Testing

/// A rep call as an embedder would add one: a header of 8 bytes, elements of 8 bytes.
private final class Collect: Hypercall {
  static let code = HypercallCode(rawValue: 0x8003)
  static let frame = HypercallFrame(headerByteCount: 8, elementByteCount: 8)
  static let requirement = Enlightenments.extendedHypercalls
  let capability = ExtendedCapabilities.memoryHeatHint

  struct Seen: Equatable {
    let arguments: HypercallArguments
    let input: [UInt8]
  }

  final class Log: Sendable {
    let calls = Mutex<[Seen]>([])
  }

  let log: Log
  /// How many elements it does in one call.
  let limit: Int

  init(log: Log, limit: Int) {
    self.log = log
    self.limit = limit
  }

  func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult {
    let seen = Seen(arguments: arguments, input: input.byteArray)
    log.calls.withLock { $0.append(seen) }
    return HypercallResult(
      status: .success, repsCompleted: min(arguments.repCount, arguments.repStartIndex + limit))
  }
}

/// A simple call with 16 bytes of input and none of output: it may be fast.
private final class Signal: Hypercall {
  static let code = HypercallCode.signalEvent
  static let frame = HypercallFrame(headerByteCount: 16)
  static let requirement = Enlightenments.syntheticInterrupts

  let log: Collect.Log

  init(log: Collect.Log) {
    self.log = log
  }

  func answer(
    _ arguments: HypercallArguments, input: RawSpan, output: inout MutableRawSpan
  ) -> HypercallResult {
    let seen = Collect.Seen(arguments: arguments, input: input.byteArray)
    log.calls.withLock { $0.append(seen) }
    return HypercallResult(status: .success)
  }
}

@Suite("Hypercall frames")
struct HypercallFrameTests {
  private let memory = FakeMemory()
  private let log = Collect.Log()

  private var calls: [Collect.Seen] { log.calls.withLock { $0 } }

  private func dispatch(
    _ input: HypercallInput, inputAddress: UInt64 = 0x1000, outputAddress: UInt64 = 0,
    limit: Int = .max, enlightenments: Enlightenments = .all
  ) -> HypercallOutcome {
    let calls: [any Hypercall] = [
      GetBootZeroedMemory { _ in [] }, Collect(log: log, limit: limit), Signal(log: log),
    ]
    return HypercallDispatcher(enlightenments: enlightenments, calls: calls).dispatch(
      HypercallRequest(
        input: input, inputAddress: GuestAddress(rawValue: inputAddress),
        outputAddress: GuestAddress(rawValue: outputAddress)), memory: memory)
  }

  private func reps(_ count: Int, from start: Int = 0) -> HypercallInput {
    HypercallInput(callCode: Collect.code, repCount: count, repStartIndex: start)
  }

  @Test("a rep call gets header and list, and tells how far it came")
  func list() {
    memory.store(Array(1...32), at: 0x1000)
    let outcome = dispatch(reps(3, from: 1), limit: 1)
    #expect(outcome.result.rawValue == 2 << 32)
    #expect(outcome.input == Array(1...32))
    #expect(calls.map(\.input) == [Array(1...32)])
    #expect(calls.first?.arguments.repCount == 3)
    #expect(calls.first?.arguments.repStartIndex == 1)
    #expect(memory.writeCount == 0)
  }

  @Test("the longest list that fits a page, at its end")
  func longestList() {
    #expect(dispatch(reps(511)).result.rawValue == 511 << 32)
    #expect(calls.first?.input.count == 4096)
    #expect(dispatch(reps(1), inputAddress: 0x1FF0).result.rawValue == 1 << 32)
  }

  @Test(
    "no element left to do: INVALID_HYPERCALL_INPUT",
    arguments: [(0, 0), (0, 1), (1, 1), (5, 5), (5, 4095)])
  func noReps(count: Int, start: Int) {
    #expect(dispatch(reps(count, from: start)).result.rawValue == 3)
    #expect(calls.isEmpty && memory.readCount == 0)
  }

  @Test(
    "input misaligned, crossing a page or nowhere: INVALID_ALIGNMENT",
    arguments: [
      (0x1001, 1), (0x1FF8, 1), (0x1008, 511), (0x1000, 512), (0x1000, 4095), (0x9000, 1),
      (.max - 7, 1), (.max, 1),
    ] as [(UInt64, Int)])
  func badInput(address: UInt64, count: Int) {
    let outcome = dispatch(reps(count), inputAddress: address)
    #expect(outcome.result.rawValue == 4 && outcome.input.isEmpty)
    #expect(calls.isEmpty)
  }

  @Test("two registers of input may be fast, a list may not")
  func fast() {
    let input = HypercallInput(callCode: .signalEvent, isFast: true)
    let outcome = dispatch(
      input, inputAddress: 0x0706_0504_0302_0100, outputAddress: 0x0F0E_0D0C_0B0A_0908)
    #expect(outcome.result.rawValue == 0)
    #expect(calls.map(\.input) == [Array(0...15)])
    #expect(memory.readCount == 0 && memory.questions.isEmpty)

    let list = HypercallInput(callCode: Collect.code, isFast: true, repCount: 1)
    #expect(dispatch(list).result.rawValue == 5)
    #expect(calls.count == 1)
  }

  @Test("0x8001 announces the calls that are offered, and no others")
  func capabilities() {
    func announced(_ enlightenments: Enlightenments) -> ExtendedCapabilities? {
      dispatch(
        HypercallInput(callCode: .extendedQueryCapabilities), outputAddress: 0x2000,
        enlightenments: enlightenments
      ).capabilities
    }
    #expect(announced(.all) == [.bootZeroedMemory, .memoryHeatHint])
    #expect(announced(.extendedHypercalls) == .memoryHeatHint)
    #expect(announced(.bootZeroedMemory) == nil)
  }

  @Test("memory that cannot be read gives calls with input INVALID_ALIGNMENT")
  func memoryWithoutReads() {
    struct WriteOnly: HypercallMemory {
      func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool { true }
      func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool { true }
    }
    let outcome = HypercallDispatcher(calls: [Collect(log: log, limit: 1)]).dispatch(
      HypercallRequest(
        input: reps(1), inputAddress: GuestAddress(rawValue: 0x1000),
        outputAddress: GuestAddress(rawValue: 0)), memory: WriteOnly())
    #expect(outcome.result.rawValue == 4)
    #expect(calls.isEmpty)
  }

  @Test("impossible frames and two calls with one code are the author's mistake")
  func mistakes() async {
    await #expect(processExitsWith: .failure) { _ = HypercallFrame(headerByteCount: 4) }
    await #expect(processExitsWith: .failure) { _ = HypercallFrame(outputByteCount: 4104) }
    await #expect(processExitsWith: .failure) {
      _ = HypercallDispatcher(calls: [
        GetBootZeroedMemory { _ in [] }, GetBootZeroedMemory { _ in [] },
      ])
    }
  }
}
