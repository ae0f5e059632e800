/// What a device does beside answering accesses: its life from start to stop.
public protocol Device: AnyObject, Sendable {
  /// Starts its threads. Once, before the guest's first instruction; what they will need is open.
  ///
  /// - Throws: `DeviceError`; the machine then does not run, and `stop` follows.
  func start() throws(DeviceError)

  /// Ends its threads when what they do is done. Guest memory is left alone from then on. Not on
  /// one of them; may be called again, and without `start`.
  func stop()
}

extension Device {
  /// Does nothing: a device without threads.
  public func start() throws(DeviceError) {}

  /// Does nothing.
  public func stop() {}
}

/// Why a device cannot be made or started.
public enum DeviceError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The host lacks what the device needs; `cure` says what to do.
  case unavailable(what: String, cure: String)

  /// The host gives no more threads; `kind` says what they are for, as in "disk".
  public static func threads(count: Int, kind: String) -> DeviceError {
    .unavailable(
      what: "cannot start \(count) \(kind) threads",
      cure: "raise the limit of processes (ulimit -u)")
  }

  /// What was attempted, and what to do; one line.
  public var description: String {
    switch self {
    case .unavailable(let what, let cure): "\(what); \(cure)"
    }
  }
}
