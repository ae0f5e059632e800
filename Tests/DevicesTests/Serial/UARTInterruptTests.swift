import Devices
import Testing

@Suite struct UARTInterruptTests {
  private let line = RecordingLine()

  private func makeUART(enabled: UInt8, fifoControl: UInt8 = 0) -> UART16550 {
    let uart = UART16550(line: line) { _ in }
    _ = uart.mismatches([.out(2, fifoControl), .out(4, 0x08), .out(1, enabled)])
    return uart
  }

  @Test func enablingTheTransmitterInterruptsEachTime() {
    let uart = makeUART(enabled: 0x02)
    #expect(line.isAsserted)
    #expect(uart.mismatches([.in(2, 0x02)]) == [])
    #expect(!line.isAsserted)
    #expect(uart.mismatches([.in(2, 0x01), .out(1, 0x02)]) == [])
    #expect(line.isAsserted)
    #expect(uart.mismatches([.out(1, 0)]) == [])
    #expect(!line.isAsserted)
    #expect(uart.mismatches([.out(1, 0x02), .in(2, 0x02), .out(0, 0x41)]) == [])
    #expect(line.isAsserted)
    #expect(line.edgeCount == 4)
  }

  @Test func anotherCauseDoesNotAcknowledgeTheTransmitter() {
    let uart = makeUART(enabled: 0x03)
    #expect(uart.receive([1]) == 1)
    #expect(uart.mismatches([.in(2, 0x04), .in(0, 1), .in(2, 0x02), .in(2, 0x01)]) == [])
    #expect(!line.isAsserted)
  }

  /// FCR, bytes received, IIR.
  @Test(
    arguments: [
      (0x00, 1, 0x04), (0x01, 1, 0xC4), (0x41, 3, 0xCC), (0x41, 4, 0xC4), (0x81, 7, 0xCC),
      (0x81, 8, 0xC4), (0xC1, 13, 0xCC), (0xC1, 14, 0xC4), (0xC1, 1, 0xCC),
    ] as [(UInt8, Int, UInt8)])
  func receivedDataInterruptsUntilRead(fifoControl: UInt8, count: Int, cause: UInt8) {
    let uart = makeUART(enabled: 0x01, fifoControl: fifoControl)
    #expect(!line.isAsserted)
    #expect(uart.receive([UInt8](repeating: 7, count: count)) == count)
    #expect(line.isAsserted)
    #expect(uart.mismatches([.in(2, cause), .in(2, cause)]) == [])
    for _ in 0..<count {
      #expect(line.isAsserted)
      #expect(uart.mismatches([.in(0, 7)]) == [])
    }
    #expect(!line.isAsserted)
  }

  @Test func lineStatusComesFirstAndIsClearedByItsRegister() {
    let uart = makeUART(enabled: 0x07)
    #expect(
      uart.mismatches([
        .out(4, 0x18), .out(0, 1), .out(0, 2), .in(2, 0x06), .in(5, 0x63), .in(2, 0x04), .in(0, 2),
        .in(2, 0x02), .in(2, 0x01),
      ]) == [])
  }

  @Test func modemStatusComesLast() {
    let uart = makeUART(enabled: 0x08)
    #expect(!line.isAsserted)
    #expect(uart.mismatches([.out(4, 0x18), .in(2, 0x00)]) == [])
    #expect(line.isAsserted)
    #expect(uart.mismatches([.in(6, 0x83), .in(2, 0x01)]) == [])
    #expect(!line.isAsserted)
  }

  @Test func theGateIsOUT2() {
    let uart = makeUART(enabled: 0x02)
    _ = uart.mismatches([.out(4, 0x07)])
    #expect(!line.isAsserted)
    #expect(uart.mismatches([.out(4, 0x08), .in(2, 0x02)]) == [])
    #expect(line.edgeCount == 2)
  }

  @Test func theLineIsCalledOnlyToChange() {
    let uart = makeUART(enabled: 0x03)
    for byte in 0..<100 as Range<UInt8> {
      #expect(uart.receive([byte]) == 1)
      _ = uart.mismatches([.in(5, 0), .in(2, 0), .in(0, 0), .out(0, byte), .out(1, byte)])
    }
    #expect(line.edgeCount > 1)
    #expect(line.idleCallCount == 0)
  }

  /// Bytes offered from another thread arrive once, in order, however the guest reads.
  @Test(.timeLimit(.minutes(10)))
  func inputFromAnotherThreadIsNeitherLostNorRepeated() async {
    let (room, signal) = AsyncStream.makeStream(of: Void.self)
    let uart = UART16550(onRoom: { signal.yield() }, sink: { _ in })
    _ = uart.mismatches([.out(2, 1)])
    let input = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    async let feeding: Void = {
      var rest = input
      var notices = room.makeAsyncIterator()
      while true {
        rest.removeFirst(uart.receive(rest))
        if rest.isEmpty { return }
        _ = await notices.next()
      }
    }()
    var output: [UInt8] = []
    while output.count < input.count {
      if uart.read(offset: 5, width: 1) & 1 != 0 {
        output.append(UInt8(truncatingIfNeeded: uart.read(offset: 0, width: 1)))
      } else {
        await Task.yield()
      }
    }
    await feeding
    #expect(output == input)
  }
}
