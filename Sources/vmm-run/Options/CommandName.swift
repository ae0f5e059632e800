/// What `vmm-run` can do. The raw value is the word on the command line.
enum CommandName: String, CaseIterable, Sendable, CustomStringConvertible {
  case demo
  case check
  case run

  var description: String { rawValue }

  var definition: CommandDefinition {
    switch self {
    case .demo: .demo
    case .check: .check
    case .run: .run
    }
  }
}
