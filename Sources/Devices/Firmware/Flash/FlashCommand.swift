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
