internal import DeviceKit

/// The registers and the buffer of a TPM's *command response buffer* interface, for locality 0, the
/// only one. Source: TCG PC Client Platform TPM Profile 1.05 §6.5.
///
/// Registers are 32 bits wide; any part of them may be accessed, and several at once.
struct TPMRegisters {
  /// What the interface has to do after a write.
  struct Effect: Equatable, Sendable {
    /// `command` is to be answered.
    var starts = false
    /// Whether a command is to be cancelled, where that has changed.
    var cancels: Bool?
  }

  enum Offset {
    static let localityState: UInt64 = 0x00
    static let localityControl: UInt64 = 0x08
    static let localityStatus: UInt64 = 0x0C
    static let interfaceIDLow: UInt64 = 0x30
    static let interfaceIDHigh: UInt64 = 0x34
    static let request: UInt64 = 0x40
    static let status: UInt64 = 0x44
    static let cancel: UInt64 = 0x48
    static let start: UInt64 = 0x4C
    static let commandByteCount: UInt64 = 0x58
    static let commandAddressLow: UInt64 = 0x5C
    static let commandAddressHigh: UInt64 = 0x60
    static let responseByteCount: UInt64 = 0x64
    static let responseAddressLow: UInt64 = 0x68
    static let buffer: UInt64 = 0x80
  }

  /// Registers and buffer of one locality.
  static let byteCount: UInt64 = 0x1000
  /// For commands, and then for their responses.
  static let bufferByteCount = 0xF80
  private static let address: UInt32 = 0xFED4_0000

  /// *LOC_STATE*: no dynamic launch has been (bit 0, inverted), the register is valid (bit 7).
  private static let stateBits: UInt32 = 0x81
  /// *LOC_STATE.locAssigned*; the active locality, bits 2 to 4, is 0.
  private static let isAssignedBit: UInt32 = 1 << 1
  /// *INTF_ID*: a command response buffer (1, in bits 0 to 3), version 1 of it (bits 4 to 7),
  /// transfers of 64 bytes (3, in bits 11 and 12), no FIFO but this (bit 14), which is selected (1,
  /// in bits 17 and 18), locality 0 alone (bit 8 clear).
  private static let interfaceID: UInt32 = 0x1 | 1 << 4 | 3 << 11 | 1 << 14 | 1 << 17
  /// Vendor and device: IBM's, as emulated TPMs have it.
  private static let vendorID: UInt32 = 0x1014

  /// Locality 0 has the TPM.
  private var isAssigned = false
  private var isIdle = true
  private(set) var isCancelled = false
  /// From the start of a command until its response is in the buffer.
  private(set) var isBusy = false
  private var buffer = [UInt8](repeating: 0, count: bufferByteCount)

  func read(offset: UInt64, width: Int) -> UInt64 {
    ByteLanes.read(offset: offset, width: width, registerCount: Self.byteCount) { byte(at: $0) }
  }

  private func byte(at offset: UInt64) -> UInt8 {
    if offset >= Offset.buffer { return buffer[Int(offset - Offset.buffer)] }
    return UInt8(truncatingIfNeeded: register(offset & ~3) >> UInt32(8 * (offset & 3)))
  }

  private func register(_ offset: UInt64) -> UInt32 {
    switch offset {
    case Offset.localityState: Self.stateBits | (isAssigned ? Self.isAssignedBit : 0)
    case Offset.localityStatus: isAssigned ? 1 : 0
    case Offset.interfaceIDLow: Self.interfaceID
    case Offset.interfaceIDHigh: Self.vendorID
    case Offset.status: isIdle ? 1 << 1 : 0
    case Offset.cancel: isCancelled ? 1 : 0
    case Offset.start: isBusy ? 1 : 0
    case Offset.commandByteCount, Offset.responseByteCount: UInt32(Self.bufferByteCount)
    case Offset.commandAddressLow, Offset.responseAddressLow:
      Self.address + UInt32(Offset.buffer)
    // No interrupts; what is not named has nothing.
    default: 0
    }
  }

  mutating func write(offset: UInt64, width: Int, value: UInt64) -> Effect {
    var effect = Effect()
    ByteLanes.write(
      offset: offset, width: width, value: value, registerCount: Self.byteCount
    ) { place, byte in
      if place >= Offset.buffer {
        // What is being answered stays as it is.
        if !isBusy { buffer[Int(place - Offset.buffer)] = byte }
      } else {
        write(byte, register: place, &effect)
      }
    }
    return effect
  }

  /// All that does something is in the lowest bytes of registers.
  private mutating func write(_ byte: UInt8, register: UInt64, _ effect: inout Effect) {
    switch register {
    case Offset.localityControl:
      if byte & 1 != 0 { isAssigned = true }
      if byte & 2 != 0 { isAssigned = false }
    case Offset.request where !isBusy:
      // Both done at once: the bits are never seen.
      if byte & 1 != 0 { isIdle = false }
      if byte & 2 != 0 { isIdle = true }
    case Offset.cancel where isCancelled != (byte & 1 != 0):
      isCancelled.toggle()
      effect.cancels = isCancelled
    case Offset.start where byte & 1 != 0 && isAssigned && !isBusy:
      isIdle = false
      if commandByteCount == nil {
        put(TPMMessage.response(TPMMessage.wrongSize))
      } else {
        isBusy = true
        effect.starts = true
      }
    default: break
    }
  }

  /// Nil if the header's length is less than the header's or more than the buffer's.
  private var commandByteCount: Int? {
    guard let count = TPMMessage.byteCount(of: buffer),
      (UInt32(TPMMessage.headerByteCount)...UInt32(Self.bufferByteCount)).contains(count)
    else { return nil }
    return Int(count)
  }

  /// The command that was started; nil if none was.
  var command: [UInt8]? {
    guard isBusy, let commandByteCount else { return nil }
    return Array(buffer.prefix(commandByteCount))
  }

  /// Ends the command.
  mutating func finish(_ response: [UInt8]) {
    put(response)
    isBusy = false
  }

  private mutating func put(_ response: [UInt8]) {
    let count = min(response.count, buffer.count)
    buffer.replaceSubrange(0..<count, with: response.prefix(count))
  }
}

extension TPMRegisters {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.flag(&isAssigned)
    try transfer.flag(&isIdle)
    try transfer.flag(&isCancelled)
    try transfer.flag(&isBusy)
    try transfer.bytes(&buffer)
    try transfer.check(!isBusy || commandByteCount != nil, "a command that is none")
  }
}
