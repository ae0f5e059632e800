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
