package import MachineSpecification

/// `vm.send-migration`: what is to become of a machine that runs. The socket comes with the request
/// (*SCM_RIGHTS*).
package struct MigrationRequest: Equatable, Sendable {
  /// Names where the socket leads, for people.
  package var destination: String
  /// How long the guest may stand still; nil for what is usual.
  package var downtimeMilliseconds: Int?
  /// How often memory may be gone through while the guest runs; nil for what is usual.
  package var maximumRoundCount: Int?
  /// Whether a guest that writes too fast goes on where it is, in place of standing still for
  /// longer.
  package var staysIfBusy: Bool

  package init(
    destination: String, downtimeMilliseconds: Int? = nil, maximumRoundCount: Int? = nil,
    staysIfBusy: Bool = false
  ) {
    self.destination = destination
    self.downtimeMilliseconds = downtimeMilliseconds
    self.maximumRoundCount = maximumRoundCount
    self.staysIfBusy = staysIfBusy
  }

  /// The body that asks for it.
  package var value: JSONValue {
    var members: [(String, JSONValue)] = [("destination_url", .text(destination))]
    if let downtimeMilliseconds {
      members.append(("downtime_ms", .integer(Int64(downtimeMilliseconds))))
    }
    if let maximumRoundCount { members.append(("max_rounds", .integer(Int64(maximumRoundCount)))) }
    if staysIfBusy { members.append(("if_busy", .text(Self.stay))) }
    return .members(members)
  }

  package static let downtimes = 0...600_000
  package static let roundCounts = 1...1000
  /// What `if_busy` can be.
  package static let stop = "stop"
  package static let stay = "stay"
}
