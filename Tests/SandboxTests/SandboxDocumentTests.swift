import FoundationEssentials
import HostSystem
import Testing

@testable import Sandbox

/// docs/sandbox.md has the list as it is. With UPDATE_DOCUMENTS=1 in the environment its tables are
/// written instead.
@Suite struct SandboxDocumentTests {
  private static let file = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "docs/sandbox.md")

  @Test(.enabled(if: FileManager.default.fileExists(atPath: file.path), "needs docs/sandbox.md"))
  func tablesAreTheList() throws {
    let file = Self.file
    let text = String(decoding: try Data(contentsOf: file), as: UTF8.self)
    var expected = text
    try replace("calls", with: calls, in: &expected)
    try replace("requests", with: requests, in: &expected)
    if ProcessInfo.processInfo.environment["UPDATE_DOCUMENTS"] != nil {
      try Data(expected.utf8).write(to: file)
    } else {
      #expect(text == expected, "run the test with UPDATE_DOCUMENTS=1 and look at the change")
    }
  }

  /// What stands between `<!-- NAME -->` and the next empty line but one.
  private func replace(_ name: String, with rows: [String], in text: inout String) throws {
    let marker = "<!-- \(name) -->\n\n"
    let start = try #require(text.firstRange(of: marker)).upperBound
    let end = text[start...].firstRange(of: "\n\n")?.lowerBound ?? text.endIndex
    text.replaceSubrange(start..<end, with: rows.joined(separator: "\n"))
  }

  private var calls: [String] {
    let built: [(String, String, SandboxRoles, SandboxPermission.Need?, String)] = [
      ("ioctl", "the requests below", .all, nil, "KVM, terminals"),
      ("tgkill", "to this process", .all, nil, "the kick of a vCPU; how a crash ends"),
    ]
    let listed = SandboxPermission.all.map { permission in
      (
        permission.call.description, permission.condition, permission.roles, permission.need,
        permission.why
      )
    }
    return head("call", "arguments")
      + (built + listed).map { name, condition, roles, need, why in
        row([name, condition], roles, need, why)
      }
  }

  private var requests: [String] {
    head("request", "number")
      + SandboxRequest.all.map { request in
        row(
          [request.name, "0x" + String(request.number, radix: 16, uppercase: true)], request.roles,
          request.need, request.why)
      }
  }

  private func head(_ first: String, _ second: String) -> [String] {
    let names = [
      first, second, "vCPU", "disk", "viewer", "TPM", "network", "balloon", "control", "service",
      "for",
    ]
    return [
      "| \(names.joined(separator: " | ")) |",
      "|" + String(repeating: " --- |", count: names.count),
    ]
  }

  private func row(
    _ names: [String], _ roles: SandboxRoles, _ need: SandboxPermission.Need?, _ why: String
  ) -> String {
    let marks = [
      ThreadRole.vcpu, .disk, .viewer, .tpm, .network, .balloon, .control, .service,
    ].map { role in
      roles.contains(role) ? need == nil ? "yes" : "if asked" : ""
    }
    let cells = ["`\(names[0])`"] + names.dropFirst() + marks + [why]
    return "|" + cells.map { $0.isEmpty ? " |" : " \($0) |" }.joined()
  }
}
