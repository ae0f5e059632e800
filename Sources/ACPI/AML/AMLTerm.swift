internal import Bytes

/// A piece of AML, already encoded: an object, a statement or an expression.
///
/// Pieces are made by the static functions beside this file and nest as they do in ASL.
struct AMLTerm: Hashable, Sendable {
  /// The encoded piece (ACPI 6.3 §20.2).
  let bytes: [UInt8]

  init(bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// An operator and what follows it.
  init(_ opcode: AMLOpcode, _ content: [UInt8]) {
    bytes = opcode.bytes + content
  }

  /// An operator whose length stands between it and its content.
  init(_ opcode: AMLOpcode, sized content: [UInt8]) {
    bytes = opcode.bytes + PackageLength.encode(contentByteCount: content.count) + content
  }
}

extension [AMLTerm] {
  /// The pieces in a row, as a term list.
  var bytes: [UInt8] {
    flatMap(\.bytes)
  }
}

// Named objects: what the namespace consists of.

extension AMLTerm {
  /// `Scope (path) { … }`
  static func scope(_ path: AMLName, _ content: [AMLTerm]) -> AMLTerm {
    AMLTerm(.scope, sized: path.bytes + content.bytes)
  }

  /// `Device (name) { … }`
  static func device(_ name: AMLName, _ content: [AMLTerm]) -> AMLTerm {
    AMLTerm(.device, sized: name.bytes + content.bytes)
  }

  /// `Name (name, value)`
  static func name(_ name: AMLName, _ value: AMLTerm) -> AMLTerm {
    AMLTerm(.name, name.bytes + value.bytes)
  }

  /// `Method (name, argumentCount, NotSerialized) { … }`, or `Serialized` for one that creates
  /// names.
  static func method(
    _ name: AMLName, argumentCount: Int, isSerialized: Bool = false, _ body: [AMLTerm]
  ) -> AMLTerm {
    precondition((0...7).contains(argumentCount), "AML method of \(argumentCount) arguments")
    let flags = UInt8(argumentCount) | (isSerialized ? 0x08 : 0)
    return AMLTerm(.method, sized: name.bytes + [flags] + body.bytes)
  }
}

// Data: what a Name can hold and an expression can be.

extension AMLTerm {
  /// A number in its shortest form.
  static func integer(_ value: UInt64) -> AMLTerm {
    switch value {
    case 0: AMLTerm(.zero, [])
    case 1: AMLTerm(.one, [])
    case 2...0xFF: AMLTerm(.byte, UInt8(value).littleEndianBytes)
    case 0x100...0xFFFF: AMLTerm(.word, UInt16(value).littleEndianBytes)
    case 0x1_0000...0xFFFF_FFFF: AMLTerm(.doubleWord, UInt32(value).littleEndianBytes)
    default: AMLTerm(.quadWord, value.littleEndianBytes)
    }
  }

  /// A string of ASCII characters but NUL, which ends it.
  static func string(_ text: String) -> AMLTerm {
    precondition(text.utf8.allSatisfy { (0x01...0x7F).contains($0) }, "AML string \(text)")
    return AMLTerm(.string, Array(text.utf8) + [0])
  }

  /// A plug and play id as the number it packs to; always four bytes, as ASL's `EisaId` is.
  static func eisaID(_ id: EISAID) -> AMLTerm {
    AMLTerm(.doubleWord, id.rawValue.littleEndianBytes)
  }

  /// Bytes.
  static func buffer(_ content: [UInt8]) -> AMLTerm {
    AMLTerm(.buffer, sized: integer(UInt64(content.count)).bytes + content)
  }

  /// A list of at most 255 elements.
  static func package(_ elements: [AMLTerm]) -> AMLTerm {
    precondition(elements.count < 256, "AML package of \(elements.count) elements")
    return AMLTerm(.package, sized: [UInt8(elements.count)] + elements.bytes)
  }

  /// A list of resource descriptors, with its end tag.
  static func resourceTemplate(_ descriptors: [ResourceDescriptor]) -> AMLTerm {
    buffer((descriptors + [.end]).flatMap(\.bytes))
  }
}

/// The length in front of an AML object that holds others (*PkgLength*, ACPI 6.3 §20.2.4).
///
/// It counts itself. One byte reaches 63; more bytes hold 4 bits in the first and 8 in each other
/// one, and reach 4095, 1 MiB - 1 and 256 MiB - 1.
enum PackageLength {
  /// The most that the content of one object may have: 256 MiB - 1 less the length's own four
  /// bytes.
  static let maximumContentByteCount = 0x0FFF_FFFF - 4

  /// The encoded length of an object with `contentByteCount` bytes after it, in its shortest form.
  static func encode(contentByteCount: Int) -> [UInt8] {
    precondition(
      (0...maximumContentByteCount).contains(contentByteCount),
      "AML object of \(contentByteCount) bytes")
    if contentByteCount + 1 < 0x40 { return [UInt8(contentByteCount + 1)] }
    let followingByteCount =
      contentByteCount + 2 < 0x1000 ? 1 : contentByteCount + 3 < 0x10_0000 ? 2 : 3
    return encode(
      contentByteCount + 1 + followingByteCount, followingByteCount: followingByteCount)
  }

  /// A number of bits, which does not count itself, in its shortest form.
  static func bits(_ count: Int) -> [UInt8] {
    precondition((0..<0x1000).contains(count), "AML field of \(count) bits")
    return count < 0x40 ? [UInt8(count)] : encode(count, followingByteCount: 1)
  }

  private static func encode(_ total: Int, followingByteCount: Int) -> [UInt8] {
    let lead = UInt8(followingByteCount << 6 | total & 0xF)
    return [lead]
      + (0..<followingByteCount).map { UInt8(truncatingIfNeeded: total >> (4 + 8 * $0)) }
  }
}

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
