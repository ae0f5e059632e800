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
    /// Ctrl-A i, m, a digit, s.
    case request(RunRequest)
  }

  static let helpText = """

    Ctrl-A h       this help
    Ctrl-A i       what the machine is doing
    Ctrl-A m       the next medium, in the first CD drive with next=
    Ctrl-A 0 to 5  the next medium in that CD drive
    Ctrl-A s       the picture of --screenshot, now
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
        events.append(.request(.status))
      case UInt8(ascii: "m"):
        flush()
        events.append(.request(.nextMedium(drive: nil)))
      case UInt8(ascii: "0")...UInt8(ascii: "5"):
        flush()
        events.append(.request(.nextMedium(drive: Int(byte - UInt8(ascii: "0")))))
      case UInt8(ascii: "s"):
        flush()
        events.append(.request(.screenshot))
      default:
        break
      }
    }
    flush()
    return events
  }
}
