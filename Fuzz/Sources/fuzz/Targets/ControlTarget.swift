import HostSystem

@testable internal import ControlAPI

/// A control client's bytes in pieces, and answers that come between them. What is kept and what
/// goes out is bounded, and the same bytes in one piece come to the same requests.
final class ControlTarget: FuzzTarget {
  static let name = "control"
  static let maximumInputByteCount = 4096
  static var role: ThreadRole { .control }

  init() throws {}

  func run(_ input: FuzzInput) {
    let choice = input.byte
    let bytes = input.bytes(Self.maximumInputByteCount)
    let whole = requests(in: [bytes], answers: choice)
    let step = 1 + Int(choice >> 3)
    let pieces = stride(from: 0, to: bytes.count, by: step).map { start in
      Array(bytes[start..<min(start + step, bytes.count)])
    }
    let cut = requests(in: pieces, answers: choice)
    require(cut == whole, "in pieces of \(step): \(cut), whole: \(whole)")
    // The client's parser, which believes as little.
    var parser = HTTPResponseParser()
    for piece in pieces where !parser.isComplete {
      guard (try? parser.receive(piece)) != nil else { break }
      require(parser.takeBody().count <= bytes.count, "more than came")
    }
  }

  private func requests(in pieces: [[UInt8]], answers: UInt8) -> [ControlRequest] {
    var session = ControlSession()
    var requests: [ControlRequest] = []
    var sentCount = 0
    for piece in pieces {
      session.receive(piece)
      while true {
        let request = session.next()
        if let request {
          requests.append(request)
          require(session.isBusy && session.next() == nil, "two requests at once")
          session.answer(Self.reply(to: request, answers))
          if session.isEventStream { session.add("{}\n") }
        }
        let output = session.takeOutput()
        require(output.count < 80 << 10, "\(output.count) bytes at once")
        sentCount += output.count
        if request == nil, output.isEmpty { break }
      }
    }
    session.end()
    require(session.next() == nil, "a request after the end")
    return requests
  }

  private static func reply(to request: ControlRequest, _ answers: UInt8) -> ControlReply {
    switch answers & 3 {
    case 0: .done
    case 1: request == .events ? .events : .metrics("vmm_paused 0\n")
    case 2: .failure(.conflict, "no")
    default: .picture([1, 2, 3])
    }
  }
}
