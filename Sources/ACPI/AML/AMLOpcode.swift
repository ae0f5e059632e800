/// The operators of AML that our tables need (ACPI 6.3 §20.3).
enum AMLOpcode: UInt8, CaseIterable, Sendable {
  case zero = 0x00
  case one = 0x01
  case name = 0x08
  case byte = 0x0A
  case word = 0x0B
  case doubleWord = 0x0C
  case string = 0x0D
  case quadWord = 0x0E
  case scope = 0x10
  case buffer = 0x11
  case package = 0x12
  case method = 0x14
  case store = 0x70
  case add = 0x72
  case and = 0x7B
  case or = 0x7D
  case operationRegion = 0x80
  case field = 0x81
  case device = 0x82
  case dereference = 0x83
  case notify = 0x86
  case index = 0x88
  case createDWordField = 0x8A
  case not = 0x92
  case equal = 0x93
  case greater = 0x94
  case `if` = 0xA0
  case `else` = 0xA1
  case `return` = 0xA4

  /// The first of `Local0` to `Local7`.
  static let firstLocal: UInt8 = 0x60
  /// The first of `Arg0` to `Arg6`.
  static let firstArgument: UInt8 = 0x68
  /// What stands before the second page of operators (*ExtOpPrefix*).
  private static let extensionPrefix: UInt8 = 0x5B

  /// The operator as it is encoded.
  var bytes: [UInt8] {
    switch self {
    case .device, .operationRegion, .field: [Self.extensionPrefix, rawValue]
    default: [rawValue]
    }
  }
}
