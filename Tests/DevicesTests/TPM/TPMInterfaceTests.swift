import Bytes
import DeviceKit
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import Devices

/// Answers from a list; notes what it is asked.
private final class ScriptedTPM: TPMBackend {
  enum Event: Equatable, Sendable {
    case begin, restart, end
    case cancels(Bool)
    case command([UInt8])
  }

  let events = Recorder<Event>()
  private let response: @Sendable ([UInt8]) -> [UInt8]?

  init(_ response: @escaping @Sendable ([UInt8]) -> [UInt8]? = { $0 }) {
    self.response = response
  }

  func begin() { events.append(.begin) }
  func restart() { events.append(.restart) }
  func end() { events.append(.end) }
  func setCancels(_ cancels: Bool) { events.append(.cancels(cancels)) }

  func answer(_ command: [UInt8]) -> [UInt8]? {
    events.append(.command(command))
    return response(command)
  }
}

/// The registers and the buffer, as a driver and a hostile guest use them.
@Suite struct TPMInterfaceTests {
  private static let selfTest: [UInt8] = [0x80, 1, 0, 0, 0, 11, 0, 0, 1, 0x43, 1]
  private static let tooLarge: [UInt8] = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x42]
  private static let failure: [UInt8] = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1]

  private func put(_ bytes: [UInt8], in tpm: TPMInterface) {
    for (index, byte) in bytes.enumerated() {
      tpm.write(offset: 0x80 + UInt64(index), width: 1, value: UInt64(byte))
    }
  }

  private func buffer(_ tpm: TPMInterface, _ count: Int) -> [UInt8] {
    (0..<UInt64(count)).map { UInt8(tpm.read(offset: 0x80 + $0, width: 1)) }
  }

  /// Requests the locality, makes ready, and starts what is in the buffer.
  private func start(_ command: [UInt8], on tpm: TPMInterface) {
    tpm.write(offset: 0x08, width: 4, value: 1)
    tpm.write(offset: 0x40, width: 4, value: 1)
    put(command, in: tpm)
    tpm.write(offset: 0x4C, width: 4, value: 1)
  }

  @Test(
    "registers after power-on, in every width",
    arguments: [
      (0x00, 4, 0x81), (0x00, 1, 0x81), (0x01, 1, 0), (0x08, 4, 0), (0x0C, 4, 0),
      // A CRB of version 1, 64 bytes at a time, CRB selected, one locality; vendor 0x1014.
      (0x30, 4, 0x2_5811), (0x30, 8, 0x1014_0002_5811), (0x34, 2, 0x1014), (0x36, 2, 0),
      (0x31, 1, 0x58), (0x38, 8, 0), (0x40, 4, 0), (0x44, 4, 2), (0x48, 8, 0), (0x50, 8, 0),
      (0x58, 4, 0xF80), (0x5C, 8, 0xFED4_0080), (0x64, 4, 0xF80), (0x68, 8, 0xFED4_0080),
      (0x70, 8, 0), (0x80, 8, 0), (0xFFC, 4, 0),
      // The buffer's end, and the other localities.
      (0xFFE, 4, 0xFFFF_0000), (0x1000, 4, 0xFFFF_FFFF), (0x4FF8, 8, UInt64.max),
    ] as [(UInt64, Int, UInt64)])
  func registers(offset: UInt64, width: Int, value: UInt64) {
    #expect(TPMInterface(ScriptedTPM()).read(offset: offset, width: width) == value)
  }

  @Test("the locality is requested and given up, the interface made ready and idle")
  func states() {
    let tpm = TPMInterface(ScriptedTPM())
    tpm.write(offset: 0x08, width: 1, value: 1)
    #expect(tpm.read(offset: 0x00, width: 4) == 0x83)
    #expect(tpm.read(offset: 0x0C, width: 4) == 1)
    tpm.write(offset: 0x40, width: 1, value: 1)
    #expect(tpm.read(offset: 0x40, width: 8) == 0)
    tpm.write(offset: 0x40, width: 4, value: 2)
    #expect(tpm.read(offset: 0x44, width: 1) == 2)
    tpm.write(offset: 0x08, width: 4, value: 2)
    #expect(tpm.read(offset: 0x00, width: 1) == 0x81)
    #expect(tpm.read(offset: 0x0C, width: 1) == 0)
  }

  @Test("other localities take nothing, and no byte but a register's lowest does anything")
  func neighbours() {
    let backend = ScriptedTPM()
    let tpm = TPMInterface(backend)
    tpm.write(offset: 0x1008, width: 4, value: 1)
    for offset in [0x09, 0x0A, 0x0B, 0x4D, 0x4F] as [UInt64] {
      tpm.write(offset: offset, width: 1, value: 0xFF)
    }
    tpm.write(offset: 0x0C, width: 8, value: .max)
    tpm.write(offset: .max, width: 8, value: .max)
    #expect(tpm.read(offset: 0x00, width: 4) == 0x81)
    #expect(tpm.read(offset: .max, width: 8) == 0x81FF)
    #expect(backend.events.values == [])
  }

  @Test("a command is answered once, and its response is in the buffer")
  func command() {
    let backend = ScriptedTPM { _ in [0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0xAB, 0xCD] }
    let tpm = TPMInterface(backend)
    start(Self.selfTest, on: tpm)
    #expect(tpm.read(offset: 0x4C, width: 4) == 1)
    // Neither a second start nor the states nor the buffer can be changed meanwhile.
    tpm.write(offset: 0x4C, width: 4, value: 1)
    tpm.write(offset: 0x40, width: 4, value: 2)
    put([0xFF], in: tpm)
    #expect(tpm.read(offset: 0x44, width: 4) == 0)
    tpm.serve()
    tpm.serve()
    #expect(backend.events.values == [.command(Self.selfTest)])
    #expect(tpm.read(offset: 0x4C, width: 4) == 0)
    #expect(buffer(tpm, 13) == [0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0xAB, 0xCD, 0])
    // The next one, without a new state in between, as Linux does.
    put(Self.selfTest, in: tpm)
    tpm.write(offset: 0x4C, width: 1, value: 1)
    tpm.serve()
    #expect(backend.events.values.count == 2)
  }

  @Test("nothing is started without the locality")
  func noLocality() {
    let backend = ScriptedTPM()
    let tpm = TPMInterface(backend)
    put(Self.selfTest, in: tpm)
    tpm.write(offset: 0x4C, width: 4, value: 1)
    tpm.serve()
    #expect(tpm.read(offset: 0x4C, width: 4) == 0)
    #expect(backend.events.values == [])
  }

  @Test(
    "a length that is shorter than a header or longer than the buffer is refused",
    arguments: [0, 9, 0xF81, 0x1_0000, 0x7FFF_FFFF, 0xFFFF_FFFF] as [UInt32])
  func lengths(byteCount: UInt32) {
    let backend = ScriptedTPM()
    let tpm = TPMInterface(backend)
    start([0x80, 1] + byteCount.bigEndianBytes + [0, 0, 1, 0x43], on: tpm)
    #expect(tpm.read(offset: 0x4C, width: 4) == 0)
    tpm.serve()
    #expect(buffer(tpm, 10) == Self.tooLarge)
    #expect(backend.events.values == [])
  }

  @Test("the longest and the shortest command get through", arguments: [10, 0xF80])
  func edges(byteCount: Int) {
    let backend = ScriptedTPM()
    let tpm = TPMInterface(backend)
    let command =
      [0x80, 2] + UInt32(byteCount).bigEndianBytes
      + [UInt8](repeating: 0x5A, count: byteCount - 6)
    start(command, on: tpm)
    tpm.serve()
    #expect(backend.events.values == [.command(command)])
    #expect(buffer(tpm, byteCount) == command)
  }

  @Test(
    "no response, and one whose length is wrong, is a failure",
    arguments: [
      nil, [], [0x80, 1, 0, 0, 0, 10, 0, 0, 0], [0x80, 1, 0, 0, 0, 11, 0, 0, 0, 0],
      [0x80, 1, 0, 0, 0, 9, 0, 0, 0],
      [0x80, 1, 0, 0, 0x0F, 0x81] + [UInt8](repeating: 0, count: 0xF7B),
    ] as [[UInt8]?])
  func brokenResponses(response: [UInt8]?) {
    let tpm = TPMInterface(ScriptedTPM { _ in response })
    start(Self.selfTest, on: tpm)
    tpm.serve()
    #expect(tpm.read(offset: 0x4C, width: 4) == 0)
    #expect(buffer(tpm, 10) == Self.failure)
  }

  @Test("a cancellation is handed on when it changes, also beside a start in one access")
  func cancellation() {
    let backend = ScriptedTPM()
    let tpm = TPMInterface(backend)
    start(Self.selfTest, on: tpm)
    tpm.write(offset: 0x48, width: 4, value: 1)
    tpm.write(offset: 0x48, width: 4, value: 1)
    #expect(tpm.read(offset: 0x48, width: 4) == 1)
    tpm.serve()
    tpm.write(offset: 0x48, width: 1, value: 0)
    put(Self.selfTest, in: tpm)
    tpm.write(offset: 0x48, width: 8, value: 0x1_0000_0001)
    tpm.serve()
    #expect(
      backend.events.values == [
        .cancels(true), .command(Self.selfTest), .cancels(false), .cancels(true),
        .command(Self.selfTest),
      ])
  }

  @Test("a thread answers, after the power-on; stop ends what it waits for")
  func thread() throws {
    let backend = ScriptedTPM()
    let tpm = TPMInterface(backend) {
      var policy = SandboxPolicy()
      policy.hasTPM = true
      ThreadFilter.enter(.tpm, policy)
    }
    start(Self.selfTest, on: tpm)
    try tpm.start()
    try waitUntil { tpm.read(offset: 0x4C, width: 4) == 0 }
    #expect(buffer(tpm, 11) == Self.selfTest)
    tpm.stop()
    tpm.stop()
    #expect(
      backend.events.values == [.begin, .restart, .command(Self.selfTest), .end, .end])
  }
}

@Suite struct PhysicalPresenceMemoryTests {
  @Test("it keeps bytes of every width, and has an end")
  func bytes() {
    let memory = PhysicalPresenceMemory()
    #expect(memory.read(offset: 0, width: 8) == 0)
    memory.write(offset: 0x101, width: 4, value: 0x1122_3344)
    memory.write(offset: 0x3FE, width: 8, value: .max)
    memory.write(offset: .max, width: 8, value: .max)
    #expect(memory.read(offset: 0x100, width: 8) == 0x0011_2233_4400)
    #expect(memory.read(offset: 0x3FC, width: 8) == 0xFFFF_FFFF_FFFF_0000)
    #expect(memory.read(offset: 0x102, width: 1) == 0x33)
  }
}
