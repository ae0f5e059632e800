internal import ControlAPI
internal import Glibc
internal import HostSystem
internal import MachineSpecification

/// `vmm-run ctl`: asks a machine that runs, and prints what it says.
enum CtlCommand {
  static func run(_ options: CtlOptions) -> ExitStatus {
    do {
      var client = try ControlClient(options.path)
      var connection: FileDescriptor?
      if let destination = options.destination { connection = try Self.connect(destination) }
      try client.send(options.request, with: connection.rawValue)
      // The machine has its own by now: this one would keep the connection open.
      connection = nil
      // Only a pause takes longer than a moment, and no event ever has to come.
      let patience: Int32 =
        switch options.request.route {
        case .events: -1
        // A large memory goes to a slow disk.
        case .snapshot: 3_600_000
        // Rounds of a large memory over a slow line.
        case .sendMigration: -1
        default: 30_000
        }
      return try report(&client, options, patience)
    } catch {
      Diagnostics.report("\(error)")
      return .failure
    }
  }

  private static func connect(_ destination: MigrationAddress) throws -> FileDescriptor {
    do throws(Errno) {
      return try destination.connected()
    } catch {
      throw SystemError(
        "connect to \(destination)", code: error.rawValue,
        cure: "start 'vmm-run receive \(destination)' there first")
    }
  }

  private static func report(
    _ client: inout ControlClient, _ options: CtlOptions, _ patience: Int32
  ) throws -> ExitStatus {
    var body: [UInt8] = []
    var file: FileDescriptor?
    while try client.receive(patience) {
      body += client.takeBody()
      // What is refused leaves the file as it was.
      guard client.status?.isSuccess == true else { continue }
      if let path = options.outputPath {
        if file.rawValue == nil {
          file = try OutputFile.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, named: path)
        }
        try write(body, to: file.rawValue ?? -1, named: path)
        body = []
      } else if options.request.route == .events {
        try write(body, to: STDOUT_FILENO, named: "standard output")
        body = []
      }
    }
    guard client.status?.isSuccess == true else {
      Diagnostics.report(failure(client.status, body, options.request.route))
      return .failure
    }
    try write(
      pretty(body, options.request.route), to: STDOUT_FILENO, named: "standard output")
    return .success
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, named name: String) throws {
    guard !bytes.isEmpty else { return }
    var writer = PatientWriter(
      descriptor: descriptor, name: name, policy: .waits(.ofProcess))
    if case .failed(let error) = writer.write(bytes) { throw error }
  }

  /// JSON for people; anything else as it is.
  private static func pretty(_ body: [UInt8], _ route: ControlRoute) -> [UInt8] {
    guard route.reply?.schema != nil, let value = try? JSONParser.parse(body) else { return body }
    return Array((value.text() + "\n").utf8)
  }

  private static func failure(
    _ status: HTTPStatus?, _ body: [UInt8], _ route: ControlRoute
  ) -> String {
    let reason: String =
      if let value = try? JSONParser.parse(body), case .text(let text)? = value["fault_message"] {
        text
      } else {
        "the answer is \(status?.rawValue ?? 0) \(status?.reason ?? "")"
      }
    return "\(route.command): \(reason)"
  }
}

/// What `vmm-run ctl` was asked to do.
struct CtlOptions: Equatable, Sendable {
  /// A request as it is sent.
  struct Request: Equatable, Sendable {
    var route: ControlRoute
    /// Nil for none.
    var body: JSONValue?
  }

  /// Of the socket.
  var path: String
  var request: Request
  /// Where what is answered goes; nil for standard output.
  var outputPath: String?
  /// Where a machine moves to; nil for every other request.
  var destination: MigrationAddress?

  init(_ parsed: ParsedOptions) throws(UsageError) {
    var words = parsed.operands[...]
    guard let path = words.popFirst(), let command = words.popFirst() else {
      throw .missingOperand(parsed.operands.isEmpty ? "PATH" : "COMMAND", command: .ctl)
    }
    let prefix = "unix:"
    self.path = path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
    let routes = ControlRoute.allCases
    guard let route = routes.first(where: { [$0.command, $0.rawValue].contains(command) }) else {
      throw .invalidOperand("COMMAND", .unknown(command, choices: routes.map(\.command)))
    }
    if route == .sendMigration {
      let (destination, migration) = try Self.migration(&words)
      self.destination = destination
      request = Request(route: route, body: migration.value)
    } else {
      request = Request(route: route, body: try Self.body(of: route, &words))
    }
    if let stranger = words.first {
      throw .unexpectedArgument(stranger, command: .ctl, suggestions: [])
    }
    outputPath = parsed.text(.output)
    if route == .screenshot, outputPath == nil {
      throw .missingCompanion(option: route.command, needs: OptionDefinition.output.synopsis)
    }
  }

  private static func migration(
    _ words: inout ArraySlice<String>
  ) throws(UsageError) -> (MigrationAddress, MigrationRequest) {
    guard let word = words.popFirst() else { throw .missingOperand("ADDRESS", command: .ctl) }
    let destination: MigrationAddress
    do throws(SpecValueError) {
      destination = try MigrationAddress(parsing: word)
    } catch {
      throw .invalidOperand("ADDRESS", error)
    }
    var request = MigrationRequest(destination: destination.description)
    while let word = words.popFirst() {
      let parts = word.split(separator: "=", maxSplits: 1)
      let value = parts.count == 2 ? String(parts[1]) : ""
      switch parts.first {
      case "downtime":
        guard let number = Int(value), MigrationRequest.downtimes.contains(number) else {
          throw .invalidOperand("downtime", .number(value, in: 0...600_000))
        }
        request.downtimeMilliseconds = number
      case "rounds":
        guard let number = Int(value), MigrationRequest.roundCounts.contains(number) else {
          throw .invalidOperand("rounds", .number(value, in: 1...1000))
        }
        request.maximumRoundCount = number
      case "if-busy":
        let choices = [MigrationRequest.stop, MigrationRequest.stay]
        guard choices.contains(value) else {
          throw .invalidOperand("if-busy", .unknown(value, choices: choices))
        }
        request.staysIfBusy = value == MigrationRequest.stay
      default:
        throw .unexpectedArgument(
          word, command: .ctl, suggestions: ["downtime=MS", "rounds=N", "if-busy=stay"])
      }
    }
    return (destination, request)
  }

  private static func body(
    of route: ControlRoute, _ words: inout ArraySlice<String>
  ) throws(UsageError) -> JSONValue? {
    switch route {
    case .snapshot:
      guard let word = words.popFirst() else { throw .missingOperand("NAME", command: .ctl) }
      return .members([("name", .text(word))])
    case .resize:
      let isOfMemory = words.first == "memory"
      if isOfMemory { words.removeFirst() }
      guard let word = words.popFirst() else { throw .missingOperand("SIZE", command: .ctl) }
      do throws(ByteCountError) {
        if isOfMemory {
          return .members([("desired_ram", .count(try ByteCount(parsing: word).bytes))])
        }
        // All of it back: no size of memory, but one of a balloon.
        let byteCount = word == "0" ? 0 : try ByteCount(parsing: word).bytes
        return .members([("desired_balloon", .count(byteCount))])
      } catch {
        throw .invalidOperand("SIZE", SpecValueError(error.description))
      }
    case .cdrom:
      var members: [(String, JSONValue)] = []
      switch words.popFirst() {
      case nil, "next": break
      case "eject": members.append(("medium", .null))
      case let file?: members.append(("medium", .text(file)))
      }
      if let word = words.popFirst() {
        guard let drive = Int64(word), drive >= 0 else {
          throw .invalidOperand("DRIVE", .number(word, in: 0...63))
        }
        members.append(("drive", .integer(drive)))
      }
      return .members(members)
    case .nic:
      guard let word = words.popFirst() else { throw .missingOperand("NIC", command: .ctl) }
      guard let number = Int64(word), number >= 0 else {
        throw .invalidOperand("NIC", .number(word, in: 0...63))
      }
      guard let state = words.popFirst() else { throw .missingOperand("LINK", command: .ctl) }
      guard ["up", "down"].contains(state) else {
        throw .invalidOperand("LINK", .unknown(state, choices: ["up", "down"]))
      }
      return .members([("nic", .integer(number)), ("link", .flag(state == "up"))])
    default: return nil
    }
  }
}
