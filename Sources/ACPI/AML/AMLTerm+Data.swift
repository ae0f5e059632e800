internal import Bytes

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
