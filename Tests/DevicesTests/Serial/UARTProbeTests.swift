import Devices
import TestSupport
import Testing

/// What drivers do before they believe that there is a 16550A.
@Suite(.onVCPUThread) struct UARTProbeTests {
  /// Linux 6.12, drivers/tty/serial/8250/8250_port.c: `autoconfig`, `autoconfig_16550a`.
  private static let linux: [RegisterStep] = [
    // Only the low four bits of IER are there.
    .in(1, 0), .out(1, 0), .in(1, 0), .out(1, 0x0F), .in(1, 0x0F), .out(1, 0),
    // Loopback: RTS and OUT2 come back as CTS and DCD.
    .in(4, 0), .in(3, 0), .out(4, 0x1A), .in(6, 0x92), .out(4, 0),
    // No EFR; then the FIFO bits.
    .out(3, 0xBF), .out(2, 0), .out(3, 0), .out(2, 1), .in(2, 0xC1),
    // 16C650: EFR at 2, seen with the latch open, would be 0; with LCR 0xBF too.
    .out(3, 0x80), .in(2, 0xC1), .out(3, 0xBF), .in(2, 0xC1),
    // National's chips: bank 2 would show another EXCR1.
    .out(3, 0), .in(4, 0), .out(3, 0xE0), .in(2, 0xC1), .out(3, 0), .out(4, 0x10), .out(3, 0xE0),
    .in(2, 0xC1), .out(3, 0), .out(4, 0),
    // 16750: bit 5 of IIR after enabling a FIFO of 64 bytes.
    .out(2, 1), .in(2, 0xC1), .out(3, 0x80), .out(2, 0x21), .in(2, 0xC1), .out(3, 0), .out(2, 1),
    // XScale: bit 6 of IER.
    .in(1, 0), .out(1, 0x40), .in(1, 0),
  ]

  /// `serial8250_do_startup`: the FIFOs are cleared, then THRE must interrupt again each time.
  private static let linuxStartup: [RegisterStep] = [
    .out(2, 1), .out(2, 7), .out(2, 0), .in(5, 0x60), .in(0, 0), .in(2, 1), .out(3, 3),
    .in(5, 0x60), .out(1, 2), .in(2, 2), .out(1, 0), .out(1, 2), .in(2, 2), .out(1, 0),
    .out(4, 0x08), .out(1, 2), .in(5, 0x60), .in(2, 2), .out(1, 0), .in(5, 0x60), .in(0, 0),
    .in(2, 1),
  ]

  /// EDK II: PciSioSerialDxe `IsaSerialPresent` (scratch), its software loopback, and
  /// BaseSerialPortLib16550 `SerialPortInitialize`.
  private static let ovmf: [RegisterStep] = [
    .in(7, 0), .out(7, 0xAA), .in(7, 0xAA), .out(7, 0x55), .in(7, 0x55), .out(7, 0),
    .in(3, 0), .out(3, 0x80), .out(1, 0), .out(0, 1), .out(3, 3), .in(3, 3), .out(2, 0),
    .out(2, 7), .in(2, 0xC1), .out(4, 0x10), .out(0, 0x5A), .in(5, 0x61), .in(0, 0x5A),
    .in(5, 0x60),
    .out(4, 0), .out(4, 3), .in(4, 3), .in(6, 0xBB), .in(6, 0xB0), .out(0, 0x1B), .in(5, 0x60),
  ]

  @Test func linuxFindsA16550A() {
    let uart = UART16550 { _ in }
    #expect(uart.mismatches(Self.linux) == [])
    #expect(uart.mismatches([.out(3, 0), .out(4, 0), .in(6, 0xBB)]) == [])
    #expect(uart.mismatches(Self.linuxStartup) == [])
  }

  @Test func ovmfFindsATerminal() {
    let output = Recorder<UInt8>()
    #expect(UART16550 { output.append($0) }.mismatches(Self.ovmf) == [])
    #expect(output.values == [0x1B])
  }
}
