import HyperVCore
import Synchronization
import Testing

@Suite("Messages and events to connections")
struct ConnectionCallTests {
  private struct Call: Equatable {
    var connection: UInt32
    var type: UInt32
    var bytes: [UInt8]
  }

  private final class Calls: Sendable {
    let all = Mutex<[Call]>([])
  }

  private let memory = FakeMemory()
  private let calls = Calls()

  private var dispatcher: HypercallDispatcher {
    HypercallDispatcher(calls: [
      PostMessage { [calls] connection, type, bytes in
        calls.all.withLock { $0.append(Call(connection: connection, type: type, bytes: bytes)) }
        return connection == 9 ? .insufficientBuffers : .success
      },
      SignalEvent { [calls] connection, flag in
        calls.all.withLock {
          $0.append(Call(connection: connection, type: UInt32(flag), bytes: []))
        }
        return connection == 9 ? .invalidConnectionID : .success
      },
    ])
  }

  private func call(_ input: UInt64, _ address: UInt64 = 0x1000) -> UInt64 {
    dispatcher.dispatch(
      HypercallRequest(
        input: HypercallInput(rawValue: input),
        inputAddress: GuestAddress(rawValue: address), outputAddress: GuestAddress(rawValue: 0)),
      memory: memory
    ).result.rawValue
  }

  /// Connection, a word that is reserved, type, length, and 240 bytes that count up.
  private func post(_ connection: UInt8, type: [UInt8] = [1, 0, 0, 0], count: [UInt8]) -> UInt64 {
    memory.store(
      [connection, 0, 0, 0, 0xEE, 0xEE, 0xEE, 0xEE] + type + count + (0..<240).map { UInt8($0) },
      at: 0x1000)
    return call(0x5C)
  }

  @Test("a message has the bytes that it says, and no more", arguments: [0, 1, 40, 240])
  func messages(count: Int) {
    #expect(post(4, count: [UInt8(count), 0, 0, 0]) == 0)
    #expect(
      calls.all.withLock { $0 } == [
        Call(connection: 4, type: 1, bytes: (0..<count).map { UInt8($0) })
      ])
  }

  @Test("messages that are none get INVALID_PARAMETER, and go nowhere")
  func badMessages() {
    #expect(post(4, count: [241, 0, 0, 0]) == 5)
    #expect(post(4, count: [0, 0, 0, 0x80]) == 5)
    #expect(post(4, type: [0, 0, 0, 0], count: [8, 0, 0, 0]) == 5)
    #expect(post(4, type: [1, 0, 0, 0x80], count: [8, 0, 0, 0]) == 5)
    // Fast: it does not fit registers. As a list, and in two pages.
    #expect(call(0x1_005C) == 5)
    #expect(call(1 << 32 | 0x5C) == 3)
    #expect(call(0x5C, 0x1F08) == 4)
    #expect(calls.all.withLock { $0 } == [])
  }

  @Test("the answer is that of who takes the message")
  func answers() {
    #expect(post(9, count: [8, 0, 0, 0]) == 0x13)
  }

  @Test("an event, in registers and in memory")
  func events() {
    #expect(call(0x1_005D, 0x0003_0000_0011) == 0)
    memory.store([18, 0, 0, 0, 0, 0, 0, 0], at: 0x1000)
    #expect(call(0x5D) == 0)
    #expect(call(0x1_005D, 9) == 0x12)
    #expect(call(0x1_005D, 1 << 48 | 18) == 3)
    #expect(
      calls.all.withLock { $0 } == [
        Call(connection: 17, type: 3, bytes: []), Call(connection: 18, type: 0, bytes: []),
        Call(connection: 9, type: 0, bytes: []),
      ])
  }

  @Test("without connections the calls are not there, and the privileges are not granted")
  func notOffered() throws {
    let dispatcher = HypercallDispatcher(enlightenments: .all, calls: [])
    for code in [0x5C, 0x1_005D] as [UInt64] {
      let result = dispatcher.dispatch(
        HypercallRequest(
          input: HypercallInput(rawValue: code), inputAddress: GuestAddress(rawValue: 0x1000),
          outputAddress: GuestAddress(rawValue: 0)), memory: memory)
      #expect(result.result.rawValue == 2)
    }
    for offers in [false, true] {
      var parameters = HyperVParameters()
      parameters.offersConnections = offers
      let leaves = try HyperVCPUID(
        enlightenments: [.syntheticInterrupts, .vpIndex], virtualProcessorCount: 1,
        parameters: parameters
      ).leaves
      #expect(leaves.first { $0.function == 0x4000_0003 }?.ebx == (offers ? 0x30 : 0))
    }
  }
}
