internal import HostSystem

/// A keyboard that acknowledges what drivers ask at start, and has no keys.
///
/// | command | answer |
/// | --- | --- |
/// | 0xFF reset | 0xFA 0xAA |
/// | 0xF2 identify | 0xFA 0xAB 0x83 |
/// | 0xED LEDs, 0xF0 scan code set, 0xF3 rate | 0xFA, and 0xFA for the parameter |
/// | 0xF0 with 0 | 0xFA and the set |
/// | 0xEE echo | 0xEE |
/// | 0xF4 to 0xFD others | 0xFA |
/// | unknown | 0xFE, resend |
public final class PS2Keyboard: PS2Device {
  private static let acknowledge: UInt8 = 0xFA
  private static let resend: UInt8 = 0xFE

  private struct State {
    /// The command whose parameter comes next.
    var command: UInt8?
    var scanCodeSet: UInt8 = 2
  }

  private let state = Guarded(State())

  /// A keyboard after its self test.
  public init() {}

  /// The answers of the table above.
  public func answer(_ byte: UInt8) -> [UInt8] {
    state.withLock { state in
      // A command in place of a parameter starts over; parameters are below 0xED.
      if let command = state.command, byte < 0xED {
        state.command = nil
        return Self.answer(parameter: byte, of: command, &state)
      }
      state.command = nil
      switch byte {
      case 0xED, 0xF0, 0xF3:
        state.command = byte
        return [Self.acknowledge]
      case 0xEE: return [0xEE]
      case 0xF2: return [Self.acknowledge, 0xAB, 0x83]
      case 0xF6:
        state.scanCodeSet = 2
        return [Self.acknowledge]
      case 0xF4...0xFD: return [Self.acknowledge]
      case 0xFF:
        state.scanCodeSet = 2
        return [Self.acknowledge, 0xAA]
      default: return [Self.resend]
      }
    }
  }

  private static func answer(
    parameter: UInt8, of command: UInt8, _ state: inout State
  ) -> [UInt8] {
    guard command == 0xF0 else { return [acknowledge] }
    switch parameter {
    case 0: return [acknowledge, state.scanCodeSet]
    case 1...3:
      state.scanCodeSet = parameter
      return [acknowledge]
    default: return [resend]
    }
  }
}

/// A keyboard or mouse on a PS/2 wire.
public protocol PS2Device: AnyObject, Sendable {
  /// Answers a byte from the host, in order; called with the controller's lock held, so it must not
  /// call the controller. The controller keeps a bounded number of answers.
  func answer(_ byte: UInt8) -> [UInt8]
}
