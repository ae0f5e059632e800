import MachineSpecification
import Testing

@testable import ControlAPI

@Suite struct SessionTests {
  private static func get(_ name: String, _ fields: String = "", method: String = "GET") -> String {
    "\(method) /api/v1/\(name) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n"
  }

  private static func put(_ name: String, _ body: String = "") -> String {
    get(name, body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n", method: "PUT") + body
  }

  /// The next request, which the macro could not take by itself.
  private static func expect(
    _ session: inout ControlSession, _ request: ControlRequest?,
    at location: SourceLocation = #_sourceLocation
  ) {
    let next = session.next()
    #expect(next == request, sourceLocation: location)
  }

  /// What a session makes of a text: the request, if there is one, and what it sends by itself.
  private static func take(_ text: String) -> (ControlRequest?, String) {
    var session = ControlSession()
    session.receive(Array(text.utf8))
    let request = session.next()
    return (request, String(decoding: session.takeOutput(), as: UTF8.self))
  }

  private static let right: [(String, ControlRequest)] = [
    (get("vmm.ping"), .ping), (get("vm.info"), .info), (get("vm.counters"), .counters),
    (get("vm.metrics"), .metrics), (get("vm.events"), .events),
    (get("vm.screenshot"), .screenshot), (put("vm.pause"), .pause), (put("vm.resume"), .resume),
    (put("vm.power-button"), .powerButton), (put("vm.reboot"), .reboot),
    (put("vm.shutdown"), .shutdown), (get("vm.info", method: "HEAD"), .info),
    (put("vm.resize", #"{"desired_balloon":8192}"#), .resize(.balloon(8192))),
    (put("vm.resize", #"{"desired_ram":8589934592}"#), .resize(.memory(8 << 30))),
    (put("vm.trim"), .trim),
    (put("vm.nic", #"{"nic":1,"link":false}"#), .nic(number: 1, hasLink: false)),
    (put("vm.cdrom"), .cdrom(.init())),
    (put("vm.cdrom", "{}"), .cdrom(.init())),
    (put("vm.cdrom", #"{"drive":1,"medium":null}"#), .cdrom(.init(drive: 1, medium: .none))),
    (put("vm.cdrom", #"{"medium":"a.iso"}"#), .cdrom(.init(medium: .file("a.iso")))),
  ]

  @Test(arguments: right)
  func understood(text: String, request: ControlRequest) {
    let (taken, sent) = Self.take(text)
    #expect(taken == request)
    #expect(sent.isEmpty)
  }

  private static let wrong: [(String, Int)] = [
    (get("vm.nothing"), 404), ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    (get("vm.pause"), 405), (put("vm.info"), 405), (get("vm.pause", method: "HEAD"), 405),
    (get("vm.info", method: "BREW"), 405), (get("vm.info?all"), 400),
    (put("vm.trim", "{}"), 400),
    (put("vm.pause", "{}"), 400), (put("vm.resize"), 400), (put("vm.resize", "{}"), 400),
    (put("vm.resize", "[]"), 400), (put("vm.resize", "{"), 400),
    (put("vm.resize", #"{"desired_balloon":-4096}"#), 400),
    (put("vm.resize", #"{"desired_balloon":1}"#), 400),
    (put("vm.resize", #"{"desired_balloon":1e30}"#), 400),
    (put("vm.resize", #"{"desired_balloon":"4096"}"#), 400),
    (put("vm.resize", #"{"desired_balloon":0,"desired_vcpus":2}"#), 400),
    (put("vm.resize", #"{"desired_balloon":0,"desired_ram":8192}"#), 400),
    (put("vm.resize", #"{"desired_ram":8193}"#), 400),
    (put("vm.resize", #"{"desired_balloon":0,"desired_balloon":0}"#), 400),
    (put("vm.cdrom", #"{"drive":-1}"#), 400), (put("vm.cdrom", #"{"drive":"0"}"#), 400),
    (put("vm.cdrom", #"{"medium":7}"#), 400), (put("vm.nic"), 400), (put("vm.nic", "{}"), 400),
    (put("vm.nic", #"{"nic":0}"#), 400), (put("vm.nic", #"{"nic":0,"link":"up"}"#), 400),
    (put("vm.nic", #"{"nic":-1,"link":true}"#), 400),
    (put("vm.cdrom", String(repeating: "[", count: 60_000)), 400),
  ]

  @Test(arguments: wrong)
  func answered(text: String, status: Int) {
    let (taken, sent) = Self.take(text)
    #expect(taken == nil)
    #expect(sent.hasPrefix("HTTP/1.1 \(status) "), "\(sent)")
    // The answer to HEAD has no body.
    #expect(sent.contains("fault_message") != text.hasPrefix("HEAD"))
    // The stream itself is in order.
    #expect(!sent.contains("Connection: close"))
    #expect(sent.contains("\r\nAllow: ") == (status == 405))
  }

  @Test func options() {
    #expect(
      Self.take(Self.get("vm.info", method: "OPTIONS")).1
        == "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n")
    let answer = Self.take(Self.get("vm.pause", method: "OPTIONS")).1
    #expect(answer.contains("Allow: OPTIONS, PUT\r\n"))
    #expect(Self.take("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").1.contains("Allow: GET, HEAD"))
  }

  /// Answers come in the order of the requests, each when the one before is done.
  @Test func pipelining() {
    var session = ControlSession()
    session.receive(Array((Self.get("vm.info") + Self.put("vm.pause") + Self.get("x")).utf8))
    Self.expect(&session, .info)
    #expect(session.isBusy)
    Self.expect(&session, nil)
    session.answer(.value(.flag(true)))
    Self.expect(&session, .pause)
    session.answer(.done)
    Self.expect(&session, nil)
    #expect(!session.isBusy)
    let sent = String(decoding: session.takeOutput(), as: UTF8.self)
    #expect(
      sent.hasPrefix(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n"))
    #expect(sent.contains("\r\n\r\ntrue\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 "))
  }

  /// Room is needed: what else was asked is not answered here any more.
  @Test func anAnswerThatIsTheLast() {
    var session = ControlSession()
    session.receive(Array((Self.get("vm.info") + Self.put("vm.shutdown")).utf8))
    Self.expect(&session, .info)
    session.answer(.done, keepsAlive: false)
    #expect(session.isEnding)
    Self.expect(&session, nil)
    let sent = String(decoding: session.takeOutput(), as: UTF8.self)
    #expect(sent == "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
  }

  @Test func head() {
    var session = ControlSession()
    session.receive(Array(Self.get("vm.info", method: "HEAD").utf8))
    Self.expect(&session, .info)
    session.answer(.value(.flag(true)))
    let sent = String(decoding: session.takeOutput(), as: UTF8.self)
    #expect(sent.contains("Content-Length: 5\r\n"))
    #expect(sent.hasSuffix("\r\n\r\n"))
  }

  @Test(arguments: [true, false])
  func events(isChunked: Bool) {
    var session = ControlSession()
    let text =
      isChunked ? Self.get("vm.events") : "GET /api/v1/vm.events HTTP/1.0\r\n\r\n"
    session.receive(Array(text.utf8))
    Self.expect(&session, .events)
    session.answer(.events)
    #expect(session.isEventStream)
    session.add("{}\n")
    session.end()
    #expect(session.isEnding)
    let sent = String(decoding: session.takeOutput(), as: UTF8.self)
    #expect(sent.contains("Transfer-Encoding: chunked") == isChunked)
    #expect(sent.hasSuffix(isChunked ? "\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n" : "\r\n\r\n{}\n"))
  }

  /// What cannot be framed ends the connection; what was sent behind it is never looked at.
  @Test func aBrokenStreamEnds() {
    var session = ControlSession()
    session.receive(Array("nonsense\r\n\(Self.put("vm.shutdown"))".utf8))
    Self.expect(&session, nil)
    #expect(session.isEnding)
    let refusal = String(decoding: session.takeOutput(), as: UTF8.self)
    #expect(refusal.contains("Connection: close"))
    session.receive(Array(Self.put("vm.shutdown").utf8))
    Self.expect(&session, nil)
    let rest = session.takeOutput()
    #expect(rest.isEmpty)
  }

  /// However many requests come at once, what is answered before anything is sent is bounded.
  @Test func manyWrongRequests() {
    var session = ControlSession()
    session.receive(Array(String(repeating: Self.get("x"), count: 2000).utf8))
    var count = 0
    for _ in 0..<2000 {
      Self.expect(&session, nil)
      let sent = session.takeOutput()
      #expect(sent.count < 80 << 10)
      if sent.isEmpty { break }
      count += String(decoding: sent, as: UTF8.self).ranges(of: "HTTP/1.1 404 ").count
    }
    #expect(count == 2000)
  }

  @Test func timeOut() {
    var session = ControlSession()
    session.receive(Array("GET /".utf8))
    Self.expect(&session, nil)
    #expect(session.isWithinRequest)
    session.timeOut()
    let sent = String(decoding: session.takeOutput(), as: UTF8.self)
    #expect(sent.hasPrefix("HTTP/1.1 408 "))
    #expect(session.isEnding)
  }

  @Test func continues() {
    var session = ControlSession()
    let body = #"{"desired_balloon":0}"#
    session.receive(
      Array(
        Self.get(
          "vm.resize", "Expect: 100-continue\r\nContent-Length: \(body.utf8.count)\r\n",
          method: "PUT"
        ).utf8))
    Self.expect(&session, nil)
    let sent = session.takeOutput()
    #expect(sent == HTTPResponse.goOn)
    session.receive(Array(body.utf8))
    Self.expect(&session, .resize(.balloon(0)))
  }
}
