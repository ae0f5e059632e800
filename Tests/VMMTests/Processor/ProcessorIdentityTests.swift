import Foundation
import KVM
import Testing

@testable import VMM

@Suite struct ProcessorIdentityTests {
  private func leaves(_ text: String) -> [CPUIDEntry] {
    let bytes = Array(text.utf8) + [UInt8](repeating: 0, count: 48 - text.utf8.count)
    func register(_ index: Int) -> UInt32 {
      bytes[(4 * index)..<(4 * index + 4)].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
    return (0..<3).map { leaf in
      CPUIDEntry(
        function: 0x8000_0002 + UInt32(leaf), eax: register(4 * leaf), ebx: register(4 * leaf + 1),
        ecx: register(4 * leaf + 2), edx: register(4 * leaf + 3))
    }
  }

  @Test(arguments: [
    ("AMD EPYC 7B12", "AMD EPYC 7B12"),
    ("      Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel(R) Xeon(R) CPU @ 2.20GHz"),
    ("AMD EPYC Processor                 ", "AMD EPYC Processor"), ("", ""), ("  ", ""),
    (String(repeating: "x", count: 48), String(repeating: "x", count: 48)),
  ])
  func name(brand: String, name: String) {
    #expect(ProcessorIdentity.name(leaves(brand)) == name)
  }

  /// What the kernel tells of this processor, which it reads in the same way.
  @Test func thisProcessor() throws {
    let host = ProcessorIdentity.name(GuestCPUID.brandOfHost)
    let file = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8).split(separator: "\n")
    let line = try #require(file.first { $0.hasPrefix("model name") })
    let name = line.split(separator: ":", maxSplits: 1).last ?? ""
    #expect(host == String(name.drop { $0 == " " }))
  }
}
