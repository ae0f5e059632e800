internal import Bytes

/// One entry of a resource template: an address range or an interrupt (ACPI 6.3 §6.4).
struct ResourceDescriptor: Hashable, Sendable {
  /// How an interrupt is signalled.
  enum Trigger: Sendable {
    case edge, level
  }

  /// Which level of the line is an interrupt.
  enum Polarity: Sendable {
    case activeHigh, activeLow
  }

  /// The encoded entry.
  let bytes: [UInt8]

  private init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// A small entry: its tag has its length.
  init(small tag: UInt8, _ content: [UInt8]) {
    precondition(content.count < 8, "small resource descriptor of \(content.count) bytes")
    self.init(bytes: [tag << 3 | UInt8(content.count)] + content)
  }

  /// A large entry: a length of 16 bits follows its tag.
  init(large tag: UInt8, _ content: [UInt8]) {
    self.init(bytes: [0x80 | tag] + UInt16(content.count).littleEndianBytes + content)
  }

  /// What ends a list. Its checksum byte is 0, "treat as good": the table's own checksum covers it.
  static let end = ResourceDescriptor(small: 0x0F, [0])
}

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

extension ResourceDescriptor {
  /// *Resource Type* of the address space descriptors.
  private enum Space {
    static let memory: UInt8 = 0
    static let io: UInt8 = 1
    static let busNumber: UInt8 = 2
  }

  /// *General Flags*: minimum and maximum are fixed, positive decode, and the device hands the
  /// range on to its children (a producer).
  private static let fixedProducerWindow: UInt8 = 0x0C
  /// The same, but the device keeps the range for itself (a consumer).
  private static let fixedConsumerRange: UInt8 = 0x0D
  /// *Type Specific Flags* of memory: read-write, not cacheable.
  private static let readWriteMemory: UInt8 = 0x01
  /// *Type Specific Flags* of I/O: the whole range, not only ISA's or other addresses.
  private static let entireIORange: UInt8 = 0x03

  /// `IO (Decode16, …)`: ports at a fixed place, of which a device has `portCount` from `first` on.
  static func io(first: UInt16, portCount: UInt8) -> ResourceDescriptor {
    let address = first.littleEndianBytes
    return ResourceDescriptor(small: 0x08, [0x01] + address + address + [1, portCount])
  }

  /// `Memory32Fixed (ReadWrite, …)`: memory at a fixed place below 4 GiB.
  static func memory32Fixed(first: UInt32, byteCount: UInt32) -> ResourceDescriptor {
    ResourceDescriptor(
      large: 0x06, [0x01] + first.littleEndianBytes + byteCount.littleEndianBytes)
  }

  /// Memory at a fixed place anywhere, below 2^63: `Memory32Fixed` where that can say it, else
  /// `QWordMemory (ResourceConsumer, …)`.
  static func memoryFixed(first: UInt64, byteCount: UInt64) -> ResourceDescriptor {
    if let first = UInt32(exactly: first), let byteCount = UInt32(exactly: byteCount),
      !first.addingReportingOverflow(byteCount - 1).overflow
    {
      return memory32Fixed(first: first, byteCount: byteCount)
    }
    return addressSpace(
      tag: 0x0A, Space.memory, general: fixedConsumerRange, flags: readWriteMemory,
      first...(first + (byteCount - 1)))
  }

  /// `WordBusNumber`: the buses below a PCI host bridge.
  static func wordBusNumber(_ window: ClosedRange<UInt8>) -> ResourceDescriptor {
    let range = UInt16(window.lowerBound)...UInt16(window.upperBound)
    return addressSpace(tag: 0x08, Space.busNumber, flags: 0, range)
  }

  /// `WordIO (…, EntireRange, …)`: a host bridge's window of ports.
  static func wordIO(_ window: ClosedRange<UInt16>) -> ResourceDescriptor {
    addressSpace(tag: 0x08, Space.io, flags: entireIORange, window)
  }

  /// `DWordMemory (…, NonCacheable, ReadWrite, …)`: a host bridge's window below 4 GiB.
  static func dWordMemory(_ window: ClosedRange<UInt32>) -> ResourceDescriptor {
    addressSpace(tag: 0x07, Space.memory, flags: readWriteMemory, window)
  }

  /// `QWordMemory (…, NonCacheable, ReadWrite, …)`: a host bridge's window anywhere.
  static func qWordMemory(_ window: ClosedRange<UInt64>) -> ResourceDescriptor {
    addressSpace(tag: 0x0A, Space.memory, flags: readWriteMemory, window)
  }

  /// An address space descriptor whose fields are as wide as `Address`: granularity, minimum,
  /// maximum, translation and length follow the flags. A window of all addresses has no length and
  /// traps.
  private static func addressSpace<Address: LittleEndianInteger>(
    tag: UInt8, _ space: UInt8, general: UInt8 = fixedProducerWindow, flags: UInt8,
    _ window: ClosedRange<Address>
  ) -> ResourceDescriptor {
    let fields = [
      0, window.lowerBound, window.upperBound, 0, window.upperBound - window.lowerBound + 1,
    ]
    return ResourceDescriptor(
      large: tag, [space, general, flags] + fields.flatMap(\.littleEndianBytes))
  }
}
