import FoundationEssentials
import MachineSpecification
import Testing

@testable import ControlAPI

/// docs/control-openapi.json is the route table. With UPDATE_DOCUMENTS=1 in the environment it is
/// written instead.
@Suite struct OpenAPIDocumentTests {
  private static let documents = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "docs")
  private static let file = documents.appending(path: "control-openapi.json")
  private static let isThere = FileManager.default.fileExists(atPath: documents.path)

  @Test(.enabled(if: isThere, "needs docs"))
  func theDocumentIsTheRouteTable() throws {
    let text = OpenAPIDescription.value(version: "1").text() + "\n"
    if ProcessInfo.processInfo.environment["UPDATE_DOCUMENTS"] != nil {
      try Data(text.utf8).write(to: Self.file)
    } else {
      let document = String(decoding: try Data(contentsOf: Self.file), as: UTF8.self)
      #expect(document == text, "run the test with UPDATE_DOCUMENTS=1 and look at the change")
    }
  }

  /// Both ways, by what the session itself makes of requests: what the document has is understood,
  /// and what the code understands is in the document.
  @Test func theDocumentIsWhatTheCodeDoes() throws {
    let document = OpenAPIDescription.value(version: "1")
    let paths = try #require(document["paths"])
    guard case .object(let members) = paths else {
      Issue.record("no object")
      return
    }
    #expect(members.map(\.name) == ControlRoute.allCases.map(\.path))
    for path in members {
      for method in ["get", "head", "put", "post", "delete", "patch"] {
        let isDescribed = path.value[method] != nil
        var session = ControlSession()
        session.receive(
          Array("\(method.uppercased()) \(path.name) HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
        let isUnderstood = session.next() != nil
        let sent = String(decoding: session.takeOutput(), as: UTF8.self)
        // Without its body a request may be wrong, but it is known.
        let isKnown = isUnderstood || sent.hasPrefix("HTTP/1.1 400 ")
        let isHeadOfGet = method == "head" && path.value["get"] != nil
        #expect(isKnown == (isDescribed || isHeadOfGet), "\(method) \(path.name)")
      }
    }
  }

  /// The page for people names every route, metric and event.
  @Test(.enabled(if: isThere, "needs docs"))
  func thePageNamesAll() throws {
    let page = String(
      decoding: try Data(contentsOf: Self.documents.appending(path: "control.md")), as: UTF8.self)
    for route in ControlRoute.allCases { #expect(page.contains("`\(route.rawValue)`")) }
    for metric in Metric.all { #expect(page.contains("`\(metric.name)`"), "\(metric.name)") }
    for event in ControlEvent.Name.allCases { #expect(page.contains("`\(event.rawValue)`")) }
  }
}
