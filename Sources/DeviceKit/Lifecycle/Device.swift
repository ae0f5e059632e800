/// What a device does beside answering accesses: its life from start to stop.
///
/// To save a machine, vCPUs leave the guest, each device is paused, saved and resumed. To restore
/// one, a device that is as new, and not started yet, takes the saved state.
public protocol Device: StatefulDevice {
  /// Starts its threads. Once, before the guest's first instruction; what they will need is open.
  ///
  /// - Throws: `DeviceError`; the machine then does not run, and `stop` follows.
  func start() throws(DeviceError)

  /// Ends its threads when what they do is done. Guest memory is left alone from then on. Not on
  /// one of them; may be called again, and without `start`.
  func stop()

  /// Begins nothing any more that guest memory, or the device's state, would show; returns when
  /// what has begun is done. No vCPU is in the guest, and the device answers no accesses. Not on
  /// one of its threads.
  ///
  /// - Throws: `StateError.busy` if something does not end within 10 seconds; `resume` follows then
  ///   too.
  func pause() throws(StateError)

  /// Goes on after a pause; may be called without one.
  func resume()
}

/// What has a state that a saved machine has to have.
public protocol StatefulDevice: AnyObject, Sendable {
  /// Saves all that a guest could find out, or restores it: not what is elsewhere, as a disk's
  /// content. During a pause, or before `Device.start`. A device that is restored drives its
  /// interrupt lines again, and sends no message.
  ///
  /// - Throws: `StateError`; after one while restoring, the device is of no use.
  func transferState(_ transfer: inout StateTransfer) throws(StateError)
}

extension Device {
  /// Does nothing: a device without threads.
  public func start() throws(DeviceError) {}

  /// Does nothing.
  public func stop() {}

  /// Does nothing: all that the device does it does on a vCPU's thread.
  public func pause() throws(StateError) {}

  /// Does nothing.
  public func resume() {}

  /// Refuses: a device that says nothing of its state cannot be saved.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    throw .unsupported("a \(type(of: self))")
  }
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
