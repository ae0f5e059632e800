// Statements and expressions: the insides of methods.

extension AMLTerm {
  /// `Arg0` to `Arg6`
  static func argument(_ index: Int) -> AMLTerm {
    precondition((0...6).contains(index), "AML argument \(index)")
    return AMLTerm(bytes: [AMLOpcode.firstArgument + UInt8(index)])
  }

  /// `Local0` to `Local7`
  static func local(_ index: Int) -> AMLTerm {
    precondition((0...7).contains(index), "AML local \(index)")
    return AMLTerm(bytes: [AMLOpcode.firstLocal + UInt8(index)])
  }

  /// What a method gives for these arguments, of which it takes as many.
  static func call(_ method: AMLName, _ arguments: [AMLTerm]) -> AMLTerm {
    AMLTerm(bytes: method.bytes + arguments.bytes)
  }

  /// The value or the place that `name` stands for.
  static func reference(_ name: AMLName) -> AMLTerm {
    AMLTerm(bytes: name.bytes)
  }

  /// `Return (value)`
  static func `return`(_ value: AMLTerm) -> AMLTerm {
    AMLTerm(.return, value.bytes)
  }

  /// `If (condition) { … }`
  static func `if`(_ condition: AMLTerm, _ body: [AMLTerm]) -> AMLTerm {
    AMLTerm(.if, sized: condition.bytes + body.bytes)
  }

  /// `Else { … }`, right after an `If`.
  static func `else`(_ body: [AMLTerm]) -> AMLTerm {
    AMLTerm(.else, sized: body.bytes)
  }

  /// `Store (value, target)`
  static func store(_ value: AMLTerm, in target: AMLTerm) -> AMLTerm {
    AMLTerm(.store, value.bytes + target.bytes)
  }

  /// `Notify (object, value)`
  static func notify(_ object: AMLName, _ value: UInt64) -> AMLTerm {
    AMLTerm(.notify, object.bytes + integer(value).bytes)
  }

  /// `Or (left, right, target)`
  static func or(_ left: AMLTerm, _ right: AMLTerm, in target: AMLTerm) -> AMLTerm {
    AMLTerm(.or, left.bytes + right.bytes + target.bytes)
  }

  /// `Add (left, right)` and `And (left, right)`, as values: they are stored nowhere.
  static func add(_ left: AMLTerm, _ right: AMLTerm) -> AMLTerm {
    AMLTerm(.add, left.bytes + right.bytes + integer(0).bytes)
  }

  static func and(_ left: AMLTerm, _ right: AMLTerm) -> AMLTerm {
    AMLTerm(.and, left.bytes + right.bytes + integer(0).bytes)
  }

  /// `Index (list, number)`: the place of an element.
  static func index(_ list: AMLTerm, _ number: UInt64) -> AMLTerm {
    AMLTerm(.index, list.bytes + integer(number).bytes + integer(0).bytes)
  }

  /// `DerefOf (Index (list, number))`: an element.
  static func element(_ list: AMLTerm, _ number: UInt64) -> AMLTerm {
    AMLTerm(.dereference, index(list, number).bytes)
  }

  /// `LGreater (left, right)`
  static func greater(_ left: AMLTerm, _ right: AMLTerm) -> AMLTerm {
    AMLTerm(.greater, left.bytes + right.bytes)
  }

  /// `LEqual (left, right)`
  static func equal(_ left: AMLTerm, _ right: AMLTerm) -> AMLTerm {
    AMLTerm(.equal, left.bytes + right.bytes)
  }

  /// `LNot (value)`
  static func not(_ value: AMLTerm) -> AMLTerm {
    AMLTerm(.not, value.bytes)
  }

  /// `CreateDWordField (buffer, byteOffset, name)`: 32 bits of a buffer as a name of their own.
  static func createDWordField(
    _ buffer: AMLTerm, byteOffset: UInt64, _ name: AMLName
  ) -> AMLTerm {
    AMLTerm(.createDWordField, buffer.bytes + integer(byteOffset).bytes + name.bytes)
  }
}
