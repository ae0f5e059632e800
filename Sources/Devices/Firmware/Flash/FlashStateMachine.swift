internal import DeviceKit

/// What a flash chip does with each byte written to it: a value, without the chip's contents.
struct FlashStateMachine: Hashable, Sendable {
  /// What reads return.
  enum Mode: UInt8, Sendable {
    /// The contents.
    case array
    case status
    case identifier
    case query
  }

  /// What the next write completes.
  private enum Pending: UInt8, Sendable {
    case nothing, program, erase
  }

  /// What a write asks of the contents.
  enum Change: Hashable, Sendable {
    case program(UInt8)
    /// Of the block around the address.
    case erase
  }

  private(set) var mode = Mode.array
  private(set) var status: FlashStatus = []
  private var pending = Pending.nothing

  /// Takes one byte. The change, if any, is to be made and its success told by `finish`.
  mutating func write(_ byte: UInt8) -> Change? {
    defer { if pending != .nothing { mode = .status } }
    switch pending {
    case .program:
      pending = .nothing
      return .program(byte)
    case .erase:
      pending = .nothing
      if byte == FlashCommand.confirm { return .erase }
      status.formUnion([.ready, .badSequence])
      return nil
    case .nothing:
      begin(byte)
      return nil
    }
  }

  /// Notes how a change ended.
  mutating func finish(_ change: Change, isDone: Bool) {
    status.insert(.ready)
    guard !isDone else { return }
    switch change {
    case .program: status.insert(.programFailed)
    case .erase: status.insert(.eraseFailed)
    }
  }

  private mutating func begin(_ command: UInt8) {
    switch command {
    case FlashCommand.program, FlashCommand.programAlternate: pending = .program
    case FlashCommand.erase: pending = .erase
    // A ready chip would say so at once. OVMF tells flash from ROM and RAM by a status of 0 here,
    // as QEMU's chip has until it has been written to.
    case FlashCommand.clearStatus: status = []
    case FlashCommand.readStatus: mode = .status
    case FlashCommand.readIdentifier: mode = .identifier
    case FlashCommand.query: mode = .query
    // What the chip does not know ends in array mode, as its *read array* does.
    default: mode = .array
    }
  }
}

/// Commands of Intel's flash command set, each one byte written anywhere in the flash.
///
/// Source: JEDEC CFI, *Intel/Sharp Extended Command Set*; the 28F640 family's data sheet.
enum FlashCommand {
  static let program: UInt8 = 0x40
  static let programAlternate: UInt8 = 0x10
  static let erase: UInt8 = 0x20
  /// The second half of an erase.
  static let confirm: UInt8 = 0xD0
  static let clearStatus: UInt8 = 0x50
  static let readStatus: UInt8 = 0x70
  static let readIdentifier: UInt8 = 0x90
  static let query: UInt8 = 0x98
  static let readArray: UInt8 = 0xFF
}

/// The status register that reads return outside array mode.
struct FlashStatus: OptionSet, Hashable, Sendable {
  let rawValue: UInt8

  static let ready = FlashStatus(rawValue: 1 << 7)
  static let eraseFailed = FlashStatus(rawValue: 1 << 5)
  static let programFailed = FlashStatus(rawValue: 1 << 4)
  /// An erase that was not confirmed: both failures at once.
  static let badSequence: FlashStatus = [.eraseFailed, .programFailed]
}

extension FlashStateMachine {
  mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    try transfer.value(&mode)
    try transfer.value(&status)
    try transfer.value(&pending)
  }
}
