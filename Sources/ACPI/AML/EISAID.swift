/// A plug and play id such as `PNP0A08`, packed into 32 bits (*EISAID*, ACPI 6.3 §19.3.4): three
/// letters of 5 bits, four hexadecimal digits, in big-endian byte order.
struct EISAID: Hashable, Sendable, ExpressibleByStringLiteral {
  /// The value as AML's `DWordConst` holds it.
  let rawValue: UInt32

  /// Packs `text`; anything but three capital letters and four hexadecimal digits traps.
  init(_ text: String) {
    let vendor = text.utf8.prefix(3)
    let product = text.dropFirst(3)
    guard text.utf8.count == 7,
      vendor.allSatisfy({ (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }),
      let number = UInt16(product, radix: 16)
    else { preconditionFailure("EISA id \(text)") }
    let letters = vendor.reduce(UInt32(0)) { $0 << 5 | UInt32($1 & 0x1F) }
    rawValue = (letters << 16 | UInt32(number)).byteSwapped
  }

  init(stringLiteral text: String) {
    self.init(text)
  }
}
