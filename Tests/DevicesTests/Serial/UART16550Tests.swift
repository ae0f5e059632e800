import Devices
import TestSupport
import Testing

@Suite(.onVCPUThread) struct UART16550Tests {
  private let line = RecordingLine()
  private let output = Recorder<UInt8>()

  private func makeUART(onRoom: @escaping @Sendable () -> Void = {}) -> UART16550 {
    UART16550(line: line, onRoom: onRoom) { [output] in output.append($0) }
  }

  @Test(
    arguments: [(0, 0), (1, 0), (2, 1), (3, 0), (4, 0), (5, 0x60), (6, 0xB0), (7, 0)]
      as [(UInt64, UInt8)])
  func valueAfterReset(register: UInt64, value: UInt8) {
    #expect(makeUART().mismatches([.in(register, value)]) == [])
  }

  /// What a register keeps of 0xFF and of 0x00.
  @Test(
    arguments: [(1, 0x0F), (3, 0xFF), (4, 0x1F), (7, 0xFF)] as [(UInt64, UInt8)])
  func writableBits(register: UInt64, mask: UInt8) {
    let steps: [RegisterStep] = [
      .out(register, 0xFF), .in(register, mask), .out(register, 0), .in(register, 0),
    ]
    #expect(makeUART().mismatches(steps) == [])
    for bit in 0..<8 {
      let value: UInt8 = 1 << bit
      #expect(
        makeUART().mismatches([.out(register, value), .in(register, value & mask)]) == [],
        "bit \(bit)")
    }
  }

  @Test func theDivisorLatchHidesDataAndInterruptEnable() {
    let steps: [RegisterStep] = [
      .out(1, 5), .out(3, 0x83), .in(0, 12), .in(1, 0), .out(0, 0x34), .out(1, 0x12), .in(0, 0x34),
      .in(1, 0x12), .out(3, 3), .in(1, 5),
    ]
    #expect(makeUART().mismatches(steps) == [])
    #expect(output.values.isEmpty)
  }

  @Test func outputLeavesAtOnce() {
    let uart = makeUART()
    for byte in "zero\n".utf8 {
      #expect(uart.mismatches([.in(5, 0x60), .out(0, byte)]) == [])
    }
    #expect(output.values == Array("zero\n".utf8))
  }

  @Test func wideAccessesAreOneRegisterPerByte() {
    let uart = makeUART()
    uart.write(offset: 4, width: 4, value: 0xAB00_0008)
    #expect(uart.mismatches([.in(4, 8), .in(7, 0xAB)]) == [])
    #expect(uart.read(offset: 4, width: 4) == 0xABB0_6008)
    #expect(uart.read(offset: 7, width: 2) == 0xFFAB)
  }

  @Test(arguments: [(0, 1), (0x01, 16), (0x07, 16), (0xC1, 16)] as [(UInt8, Int)])
  func theReceiverTakesWhatItHasRoomFor(fifoControl: UInt8, capacity: Int) {
    let notices = Recorder<Bool>()
    let uart = makeUART { notices.append(true) }
    _ = uart.mismatches([.out(2, fifoControl)])
    #expect(uart.receive((0..<20).map { UInt8($0) }) == capacity)
    #expect(uart.receive([99]) == 0)
    for value in 0..<UInt8(capacity) {
      #expect(notices.values.isEmpty)
      #expect(uart.mismatches([.in(5, 0x61), .in(0, value)]) == [])
    }
    #expect(uart.mismatches([.in(5, 0x60), .in(0, 0)]) == [])
    #expect(notices.values.count == 1)
    // Nothing was refused since: no notice.
    #expect(uart.receive([7]) == 1)
    #expect(uart.mismatches([.in(0, 7)]) == [])
    #expect(notices.values.count == 1)
  }

  @Test func theNoticeMayOfferTheRest() {
    let uartBox = Recorder<UART16550>()
    let uart = makeUART { _ = uartBox.values[0].receive([2]) }
    uartBox.append(uart)
    #expect(uart.receive([1, 2]) == 1)
    #expect(uart.mismatches([.in(0, 1), .in(5, 0x61), .in(0, 2), .in(5, 0x60)]) == [])
  }

  @Test func resettingTheFIFOEmptiesIt() {
    let uart = makeUART()
    _ = uart.mismatches([.out(2, 1)])
    #expect(uart.receive([1, 2, 3]) == 3)
    #expect(uart.mismatches([.out(2, 0x03), .in(5, 0x60)]) == [])
    #expect(uart.receive([4]) == 1)
    #expect(uart.mismatches([.out(2, 0), .in(5, 0x60)]) == [])
  }

  @Test func loopbackReturnsBytesAndModemLines() {
    // MCR 0x10 and one output each: the line it drives in MSR.
    let lines: [(UInt8, UInt8)] = [(0x01, 0x20), (0x02, 0x10), (0x04, 0x40), (0x08, 0x80)]
    for (control, status) in lines {
      let uart = makeUART()
      #expect(uart.mismatches([.out(4, 0x10), .in(6, 0x0B), .out(4, 0x10 | control)]) == [])
      #expect(uart.read(offset: 6, width: 1) & 0xF0 == UInt64(status))
    }
    let uart = makeUART()
    _ = uart.mismatches([.out(4, 0x10)])
    #expect(uart.receive([1]) == 0)
    #expect(
      uart.mismatches([
        .out(0, 0x5A), .in(5, 0x61), .out(0, 0x5B), .in(5, 0x63), .in(0, 0x5B), .in(5, 0x60),
      ]) == [])
    #expect(output.values.isEmpty)
  }

  @Test func onlyTheTrailingEdgeOfTheRingIsSeen() {
    #expect(
      makeUART().mismatches([
        .out(4, 0x1B), .in(6, 0xB0), .out(4, 0x1F), .in(6, 0xF0), .out(4, 0x1B), .in(6, 0xB4),
        .in(6, 0xB0),
      ]) == [])
  }
}
