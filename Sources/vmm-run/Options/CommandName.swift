/// What `vmm-run` can be told to do. The raw value is the word on the command line.
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
