internal import MachineSpecification

/// A request that was understood.
package enum ControlRequest: Equatable, Sendable {
  case ping
  case info
  case counters
  case metrics
  case events
  case screenshot
  case pause
  case resume
  case powerButton
  case reboot
  case shutdown
  case snapshot(SnapshotName)
  case migrate(MigrationRequest)
  case cancelMigration
  case resize(Size)
  case trim
  case cdrom(CDROMChange)
  /// Whether a network card has a link.
  case nic(number: Int, hasLink: Bool)

  /// What is to come of the guest's memory, in bytes: a multiple of 4 KiB.
  package enum Size: Equatable, Sendable {
    /// What it is to give up.
    case balloon(UInt64)
    /// What it is to have.
    case memory(UInt64)
  }

  /// What goes into a CD drive.
  package struct CDROMChange: Equatable, Sendable {
    package enum Medium: Equatable, Sendable {
      /// The next one that was named for the drive, as Ctrl-A m does.
      case next
      case none
      /// One of those that were named for the drive when the run began.
      case file(String)
    }

    /// Nil for the first drive for which more than one medium was named.
    package var drive: Int?
    package var medium: Medium

    package init(drive: Int? = nil, medium: Medium = .next) {
      self.drive = drive
      self.medium = medium
    }
  }

  /// Reads the body of a request to a route.
  package init(_ route: ControlRoute, body: [UInt8]) throws(HTTPError) {
    guard route.requestSchema != nil else {
      guard body.isEmpty else {
        throw HTTPError(.badRequest, "\(route.rawValue) takes no body")
      }
      self = Self.plain(route)
      return
    }
    var members = try Members(route, body)
    switch route {
    case .resize:
      self = .resize(try Self.size(&members))
    case .snapshot:
      guard case .text(let text)? = members.take("name"), let name = SnapshotName(text) else {
        throw HTTPError(
          .badRequest,
          "vm.snapshot: name is not 1 to \(SnapshotName.maximumCount) letters, digits, '.', '-' and"
            + " '_', the first a letter or digit")
      }
      self = .snapshot(name)
    case .sendMigration: self = .migrate(try Self.migration(&members))
    case .nic:
      guard case .integer(let number)? = members.take("nic"), (0..<64).contains(number) else {
        throw HTTPError(.badRequest, "vm.nic: nic is not the number of a network card")
      }
      guard case .flag(let hasLink)? = members.take("link") else {
        throw HTTPError(.badRequest, "vm.nic: link is not true or false")
      }
      self = .nic(number: Int(number), hasLink: hasLink)
    default:
      self = .cdrom(try Self.change(&members))
    }
    try members.end()
  }

  private static func size(_ members: inout Members) throws(HTTPError) -> Size {
    func byteCount(_ name: String) throws(HTTPError) -> UInt64? {
      switch members.take(name) {
      case nil: return nil
      case .integer(let count) where count >= 0 && count % 4096 == 0: return UInt64(count)
      default:
        throw HTTPError(
          .badRequest, "vm.resize: \(name) is not a number of bytes, a multiple of 4096")
      }
    }
    switch (try byteCount("desired_balloon"), try byteCount("desired_ram")) {
    case (let count?, nil): return .balloon(count)
    case (nil, let count?): return .memory(count)
    case (nil, nil):
      throw HTTPError(
        .badRequest,
        "vm.resize: desired_balloon is missing: how many bytes the guest gives up; or"
          + " desired_ram: how many it is to have")
    default:
      throw HTTPError(.badRequest, "vm.resize: give desired_balloon or desired_ram, not both")
    }
  }

  private static func migration(_ members: inout Members) throws(HTTPError) -> MigrationRequest {
    guard case .text(let destination)? = members.take("destination_url"),
      (1...1024).contains(destination.utf8.count)
    else {
      throw HTTPError(
        .badRequest, "vm.send-migration: destination_url is not unix:PATH or tcp:ADDRESS:PORT")
    }
    var request = MigrationRequest(destination: destination)
    request.downtimeMilliseconds = try number(
      "downtime_ms", in: MigrationRequest.downtimes, &members)
    request.maximumRoundCount = try number(
      "max_rounds", in: MigrationRequest.roundCounts, &members)
    switch members.take("if_busy") {
    case nil, .text(MigrationRequest.stop): break
    case .text(MigrationRequest.stay): request.staysIfBusy = true
    default: throw HTTPError(.badRequest, "vm.send-migration: if_busy is not stop or stay")
    }
    return request
  }

  private static func number(
    _ name: String, in range: ClosedRange<Int>, _ members: inout Members
  ) throws(HTTPError) -> Int? {
    switch members.take(name) {
    case nil: return nil
    case .integer(let number)
    where number >= Int64(range.lowerBound) && number <= Int64(range.upperBound):
      return Int(number)
    default:
      throw HTTPError(
        .badRequest,
        "vm.send-migration: \(name) is not \(range.lowerBound) to \(range.upperBound)")
    }
  }

  private static func change(_ members: inout Members) throws(HTTPError) -> CDROMChange {
    var change = CDROMChange()
    switch members.take("drive") {
    case nil: break
    case .integer(let drive) where (0..<64).contains(drive): change.drive = Int(drive)
    default: throw HTTPError(.badRequest, "vm.cdrom: drive is not the number of a drive")
    }
    switch members.take("medium") {
    case nil: break
    case .null: change.medium = .none
    case .text(let file): change.medium = .file(file)
    default:
      throw HTTPError(
        .badRequest,
        "vm.cdrom: medium is not null or the name of an image; leave it out for the next one")
    }
    return change
  }

  /// Of a route without a body.
  private static func plain(_ route: ControlRoute) -> ControlRequest {
    switch route {
    case .ping: .ping
    case .info: .info
    case .counters: .counters
    case .metrics: .metrics
    case .events: .events
    case .screenshot: .screenshot
    case .pause: .pause
    case .resume: .resume
    case .powerButton: .powerButton
    case .reboot: .reboot
    case .shutdown: .shutdown
    case .cancelMigration: .cancelMigration
    case .trim: .trim
    case .resize, .cdrom, .nic, .snapshot, .sendMigration:
      preconditionFailure("\(route) has a body")
    }
  }
}

/// The members of a body, each of which is to be taken.
private struct Members {
  private let route: ControlRoute
  private var rest: [JSONValue.Member]

  init(_ route: ControlRoute, _ body: [UInt8]) throws(HTTPError) {
    self.route = route
    // Nothing stands for nothing to change.
    if body.isEmpty {
      rest = []
      return
    }
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONParser.parse(body)
    } catch {
      throw HTTPError(.badRequest, "\(route.rawValue): the body \(error)")
    }
    guard case .object(let members) = value else {
      throw HTTPError(.badRequest, "\(route.rawValue): the body is \(value.kind), not an object")
    }
    guard Set(members.map(\.name)).count == members.count else {
      throw HTTPError(.badRequest, "\(route.rawValue): a member is there twice")
    }
    rest = members
  }

  mutating func take(_ name: String) -> JSONValue? {
    guard let index = rest.firstIndex(where: { $0.name == name }) else { return nil }
    return rest.remove(at: index).value
  }

  func end() throws(HTTPError) {
    guard let stranger = rest.first else { return }
    throw HTTPError(
      .badRequest, "\(route.rawValue): \(JSONText.quoted(stranger.name)) is not known here")
  }
}
