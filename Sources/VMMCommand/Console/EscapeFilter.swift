/// Finds in what is typed what is meant for this program: Ctrl-A and a letter.
///
/// Ctrl-A twice is one Ctrl-A for the guest. Ctrl-A and anything unknown is lost, both of it.
struct EscapeFilter {
  enum Event: Equatable {
    case input([UInt8])
    /// Ctrl-A x. Nothing follows it.
    case quit
    /// Ctrl-A h.
    case help
    /// Ctrl-A i.
    case status
  }

  static let helpText = """

    Ctrl-A h       this help
    Ctrl-A i       what the machine is doing
    Ctrl-A x       end the machine at once
    Ctrl-A Ctrl-A  send Ctrl-A to the guest

    """

  /// Ctrl-A.
  private static let escape: UInt8 = 0x01
  private var isEscaped = false

  /// The events in a part of the stream, however it is split.
  mutating func process(_ bytes: [UInt8]) -> [Event] {
    var events: [Event] = []
    var input: [UInt8] = []
    func flush() {
      if !input.isEmpty { events.append(.input(input)) }
      input = []
    }
    for byte in bytes {
      guard isEscaped else {
        if byte == Self.escape { isEscaped = true } else { input.append(byte) }
        continue
      }
      isEscaped = false
      switch byte {
      case Self.escape:
        input.append(byte)
      case UInt8(ascii: "x"):
        flush()
        return events + [.quit]
      case UInt8(ascii: "h"):
        flush()
        events.append(.help)
      case UInt8(ascii: "i"):
        flush()
        events.append(.status)
      default:
        break
      }
    }
    flush()
    return events
  }
}
