import FoundationEssentials
import HyperVCore
import Testing

private let document = URL(filePath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  .appending(path: "docs/hyperv.md")

/// The table of docs/hyperv.md against the code, and against QEMU's list.
@Suite(
  .enabled(if: FileManager.default.fileExists(atPath: document.path), "needs docs/hyperv.md"))
struct HyperVDocumentTests {
  private struct Row {
    let names: [String]
    let bits: String
    let needs: String
    let userspace: String
  }

  /// The rows below the head that begins with `name` and `bits`.
  private func rows() throws -> [Row] {
    let text = String(decoding: try Data(contentsOf: document), as: UTF8.self)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let head = try #require(lines.firstIndex { $0.hasPrefix("| name | bits | needs |") })
    return lines[(head + 2)...].prefix { $0.hasPrefix("|") }.map { line in
      let cells = line.split(separator: "|").map(String.init)
      return Row(names: Self.quoted(cells[0]), bits: cells[1], needs: cells[2], userspace: cells[3])
    }
  }

  /// What stands between back quotes, up to a `=`.
  private static func quoted(_ text: String) -> [String] {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
      .filter { $0.offset % 2 == 1 }
      .map { String($0.element.prefix { $0 != "=" }) }
  }

  /// `3.EAX 1, 9; 4.EAX 3 without …` as `3.EAX 1`, `3.EAX 9`, `4.EAX 3`. A pair is a field's
  /// highest and lowest bit.
  private func listed(_ bits: String) -> Set<String> {
    Set(
      bits.split(separator: ";").flatMap { part -> [String] in
        let words = part.split { $0 == " " || $0 == "," }
        guard let register = words.first, register.contains(".") else { return [] }
        return words.dropFirst().prefix { $0.allSatisfy { "0123456789:".contains($0) } }
          .map { "\(register) \($0)" }
      })
  }

  /// The bits that a member alone sets in the leaves.
  private func offered(_ member: Enlightenments) -> Set<String> {
    let privileges = PartitionPrivileges(member).subtracting(.accessHypercallMSRs).rawValue
    var nested = NestedFeatures(member).rawValue
    var found: Set<String> = []
    if nested & 0xFFFF != 0 {
      // A version, not bits.
      found.insert("A.EAX 15:0")
      nested &= ~0xFFFF
    }
    let registers: [(String, UInt32)] = [
      ("3.EAX", UInt32(truncatingIfNeeded: privileges)), ("3.EBX", UInt32(privileges >> 32)),
      ("3.EDX", HypervisorFeatures(member, locksHypercallMSR: false).rawValue),
      ("4.EAX", ImplementationRecommendations(member).rawValue), ("A.EAX", nested),
    ]
    for (register, value) in registers {
      for bit in 0..<32 where value >> bit & 1 == 1 { found.insert("\(register) \(bit)") }
    }
    return found
  }

  @Test func eachEnlightenmentWithItsBits() throws {
    let rows = try rows()
    for name in Enlightenments.names {
      let row = try #require(rows.first { $0.names.contains(name) }, "no row of \(name)")
      let member = try #require(Enlightenments.named(name))
      #expect(listed(row.bits) == offered(member), "\(name)")
      #expect(
        row.userspace.contains("yes") == SyntheticMSRs.servedEnlightenments.contains(member),
        "\(name)")
      // The table names those that bring the others with them.
      let needed = Self.quoted(row.needs).filter { $0 != "--nested" }.compactMap(
        Enlightenments.named)
      let direct = needed.reduce(into: Enlightenments()) { $0.formUnion($1) }
      #expect(
        direct.union(Enlightenments.requirements(of: direct))
          == Enlightenments.requirements(of: member), "\(name)")
      #expect(row.needs.contains("--nested") == Enlightenments.nested.contains(member), "\(name)")
    }
  }

  /// QEMU 10.0.2, `qemu-system-x86_64 -device qemu64-x86_64-cpu,help`, without the experimental
  /// `x-hv-*`.
  @Test(arguments: [
    "apicv", "avic", "crash", "emsr-bitmap", "enforce-cpuid", "evmcs", "frequencies", "ipi",
    "no-nonarch-coresharing", "passthrough", "reenlightenment", "relaxed", "reset", "runtime",
    "spinlocks", "stimer", "stimer-direct", "syndbg", "synic", "time", "tlbflush",
    "tlbflush-direct", "tlbflush-ext", "vapic", "vendor-id", "version", "vpindex", "xmm-input",
  ])
  func eachFlagOfQEMU(name: String) throws {
    #expect(try rows().count { $0.names.contains(name) } == 1)
  }

  @Test func nothingElse() throws {
    let others = [
      "avic", "spinlocks", "version", "vendor-id", "syndbg", "passthrough", "enforce-cpuid",
    ]
    #expect(try Set(rows().flatMap(\.names)) == Set(Enlightenments.names + others))
  }
}
