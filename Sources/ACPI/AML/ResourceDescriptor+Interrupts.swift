internal import Bytes

extension ResourceDescriptor {
  /// `IRQNoFlags {line}`: an ISA interrupt as ISA signals it, edge and active high, not shared.
  static func irqNoFlags(_ line: UInt8) -> ResourceDescriptor {
    ResourceDescriptor(small: 0x04, mask(line))
  }

  /// `IRQ (trigger, polarity, shared) {line}`: an ISA interrupt otherwise signalled.
  static func irq(
    _ line: UInt8, _ trigger: Trigger, _ polarity: Polarity, isShared: Bool
  ) -> ResourceDescriptor {
    let flags: UInt8 =
      (trigger == .edge ? 0x01 : 0) | (polarity == .activeLow ? 0x08 : 0) | (isShared ? 0x10 : 0)
    return ResourceDescriptor(small: 0x04, mask(line) + [flags])
  }

  /// `Interrupt (ResourceConsumer, …) {gsi}`: a global system interrupt, of any number.
  static func extendedInterrupt(
    _ gsi: UInt32, _ trigger: Trigger, _ polarity: Polarity, isShared: Bool
  ) -> ResourceDescriptor {
    let consumer: UInt8 = 0x01
    let flags: UInt8 =
      consumer | (trigger == .edge ? 0x02 : 0) | (polarity == .activeLow ? 0x04 : 0)
      | (isShared ? 0x08 : 0)
    return ResourceDescriptor(large: 0x09, [flags, 1] + gsi.littleEndianBytes)
  }

  private static func mask(_ line: UInt8) -> [UInt8] {
    precondition(line < 16, "ISA interrupt \(line)")
    return (UInt16(1) << line).littleEndianBytes
  }
}
