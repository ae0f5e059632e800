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
