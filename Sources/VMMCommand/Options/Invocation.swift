internal import MachineSpecification

/// A whole command line, understood.
enum Invocation: Equatable, Sendable {
  /// Help for one command, or for all.
  case help(CommandName?)
  case version
  case demo(DemoOptions)
  case check(CheckOptions)
  /// `run`, `windows` or `restore`.
  case run(RunOptions)
  case receive(ReceiveOptions)
  case ctl(CtlOptions)
  case evidence(EvidenceOptions)
  /// For packages; help does not show it.
  case documentation(DocumentationOptions)

  /// Reads the arguments after the program's name.
  ///
  /// A request for help wins over everything else on the line, mistakes included: somebody who asks
  /// how an option is spelled should not first have to spell it.
  ///
  /// - Parameters:
  ///   - host: what a machine for Windows goes by; looked at for that alone.
  ///   - readConfiguration: reads the file of `--config`.
  ///   - readSnapshot: reads what a saved machine is.
  init(
    _ arguments: [String], on host: @autoclosure () -> HostSize,
    readConfiguration: (String) throws(UsageError) -> MachineSpec,
    readSnapshot: (String) throws(UsageError) -> Snapshot = GuestFile.savedMachine
  ) throws(UsageError) {
    guard let first = arguments.first else { throw .noCommand }
    let rest = Array(arguments.dropFirst())
    if first == DocumentationOptions.command {
      self = .documentation(try DocumentationOptions(rest))
      return
    }
    guard let command = CommandName(rawValue: first) else {
      self = try Self.global(first, rest)
      return
    }
    if rest.contains(where: Self.asksForHelp) {
      self = .help(command)
      return
    }
    let parsed = try OptionParser(command.definition).parse(rest)
    switch command {
    case .demo: self = .demo(try DemoOptions(parsed))
    case .check: self = .check(CheckOptions(parsed))
    case .run: self = .run(try RunOptions(parsed, readConfiguration: readConfiguration))
    case .ctl: self = .ctl(try CtlOptions(parsed))
    case .evidence: self = .evidence(try EvidenceOptions(parsed))
    case .restore:
      self = .run(try RunOptions(restoring: parsed, readSnapshot: readSnapshot))
    case .receive:
      self = .receive(try ReceiveOptions(parsed, readConfiguration: readConfiguration))
    case .windows: self = .run(try RunOptions(windows: parsed, on: host()))
    }
  }

  private static func asksForHelp(_ word: String) -> Bool {
    word == OptionDefinition.help.name || word == "-h"
  }

  private static func global(_ word: String, _ rest: [String]) throws(UsageError) -> Invocation {
    if asksForHelp(word) { return .help(rest.first.flatMap(CommandName.init(rawValue:))) }
    if word == OptionDefinition.version.name { return .version }
    if word.hasPrefix("-") {
      let name = word.prefix { $0 != "=" }
      let owner = CommandName.allCases.first { $0.definition.option(named: String(name)) != nil }
      if let owner { throw .optionBeforeCommand(String(name), command: owner) }
      let names = [OptionDefinition.help.name, OptionDefinition.version.name]
      throw .unknownOption(
        String(name), command: nil, nearest: NearestName.nearest(to: String(name), among: names))
    }
    let nearest = NearestName.nearest(to: word, among: CommandName.allCases.map(\.rawValue))
    throw .unknownCommand(word, nearest: nearest)
  }
}

/// What `vmm-run` can do. The raw value is the word on the command line.
enum CommandName: String, CaseIterable, Sendable, CustomStringConvertible {
  case demo
  case check
  case run
  case windows
  case restore
  case receive
  case ctl
  case evidence

  var description: String { rawValue }

  var definition: CommandDefinition {
    switch self {
    case .demo: .demo
    case .check: .check
    case .run: .run
    case .windows: .windows
    case .restore: .restore
    case .receive: .receive
    case .ctl: .ctl
    case .evidence: .evidence
    }
  }
}

/// What `vmm-run check` was asked to do.
struct CheckOptions: Equatable, Sendable {
  var printsJSON = false

  init(printsJSON: Bool = false) {
    self.printsJSON = printsJSON
  }

  init(_ parsed: ParsedOptions) {
    printsJSON = parsed.contains(.json)
  }
}
