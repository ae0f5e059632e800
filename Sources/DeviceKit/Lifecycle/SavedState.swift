/// The state of a machine's parts, by their names: bytes of which each part understands its own.
public struct SavedState: Hashable, Sendable {
  public struct Part: Hashable, Sendable {
    public let name: String
    public let bytes: [UInt8]
  }

  /// In the order in which they were saved.
  public private(set) var parts: [Part] = []
  /// Where each name's part is.
  private var places: [String: Int] = [:]

  /// No parts.
  public init() {}

  /// Adds a part.
  ///
  /// - Parameter name: one that no other part has: two are a mistake of ours, and trap.
  public mutating func add(_ bytes: [UInt8], as name: String) {
    precondition(places.updateValue(parts.count, forKey: name) == nil, "two parts \(name)")
    parts.append(Part(name: name, bytes: bytes))
  }

  /// Adds a device's state.
  public mutating func save(
    _ device: any StatefulDevice, as name: String
  ) throws(SavedStateError) {
    try save(as: name) { (transfer) throws(StateError) in try device.transferState(&transfer) }
  }

  /// Adds what `body` hands to the transfer.
  public mutating func save(
    as name: String, _ body: (inout StateTransfer) throws(StateError) -> Void
  ) throws(SavedStateError) {
    var transfer = StateTransfer()
    do throws(StateError) {
      try body(&transfer)
    } catch {
      throw SavedStateError(part: name, reason: error)
    }
    add(transfer.bytes, as: name)
  }

  /// Whether there is such a part.
  public func hasPart(_ name: String) -> Bool { places[name] != nil }

  /// The bytes of a part.
  ///
  /// - Throws: if there is none: another machine was saved, or by another program.
  public func bytes(of name: String) throws(SavedStateError) -> [UInt8] {
    guard let place = places[name] else {
      throw SavedStateError(part: name, reason: .invalid("there is none"))
    }
    return parts[place].bytes
  }

  /// Restores a device.
  public func restore(
    _ device: any StatefulDevice, from name: String
  ) throws(SavedStateError) {
    try restore(from: name) { (transfer) throws(StateError) in
      try device.transferState(&transfer)
    }
  }

  /// Restores what `body` takes from the transfer, which is all that there is.
  public func restore(
    from name: String, _ body: (inout StateTransfer) throws(StateError) -> Void
  ) throws(SavedStateError) {
    var transfer = StateTransfer(restoring: try bytes(of: name))
    do throws(StateError) {
      try body(&transfer)
      try transfer.finish()
    } catch {
      throw SavedStateError(part: name, reason: error)
    }
  }
}

/// Which part of a machine cannot be saved or restored, and why.
public struct SavedStateError: Error, Hashable, Sendable, CustomStringConvertible {
  public let part: String
  public let reason: StateError

  public init(part: String, reason: StateError) {
    self.part = part
    self.reason = reason
  }

  /// One line.
  public var description: String { "\(part): \(reason)" }
}
