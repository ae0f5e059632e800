import Foundation
import HyperVCore
import Testing
import ZeroTracker

@Suite("The embedding example of README.md")
struct EmbeddingTests {
  private static let replyAddress: UInt64 = 0x8_0008  // page 128

  private func request(output: UInt64, isFast: Bool = false) -> HypercallRequest {
    HypercallRequest(
      input: HypercallInput(callCode: .extendedGetBootZeroedMemory, isFast: isFast),
      inputAddress: GuestAddress(rawValue: 0), outputAddress: GuestAddress(rawValue: output))
  }

  private func answer(_ request: HypercallRequest, by guest: Guest) -> HypercallStatus {
    guest.hypercalls.answer(request, memory: guest).status
  }

  private func reply(in guest: Guest) throws -> BootZeroedMemoryReply {
    let start = Int(Self.replyAddress)
    let bytes = guest.ram.load(start..<(start + BootZeroedMemoryReply.byteCount))
    // SAFETY: a view of elements as bytes may show padding; UInt8 has none.
    return try unsafe BootZeroedMemoryReply(decoding: bytes.span.bytes)
  }

  @Test("what the guest wrote, the VMM wrote and the reply needs is withheld; all else is told")
  func answersFromTrackedMemory() throws {
    let guest = try Guest()
    // A loader writes one byte to page 40: its chunk of 16 pages is 32..<48.
    let loaded: [UInt8] = [1]
    // SAFETY: as in `reply`.
    let isStored = unsafe guest.write(
      loaded.span.bytes, at: GuestAddress(rawValue: 40 * 4096))
    #expect(isStored)

    #expect(answer(request(output: Self.replyAddress), by: guest) == .success)

    // The guest wrote 16 and 100; the reply's page is 128.
    let expected = [
      (129, 127), (48, 52), (101, 27), (0, 16), (17, 15),
    ].map { BootZeroedRange(startPage: $0.0, pageCount: $0.1) }
    #expect(try reply(in: guest).ranges == expected)
  }

  @Test("every reported page is zero, the others need not be")
  func reportedPagesAreZero() throws {
    let guest = try Guest()
    #expect(answer(request(output: Self.replyAddress), by: guest) == .success)
    for range in try reply(in: guest).ranges {
      let bytes = guest.ram.load(
        Int(range.startPage) * 4096..<Int(range.startPage + range.pageCount) * 4096)
      #expect(bytes.allSatisfy { $0 == 0 })
    }
  }

  @Test(
    "a call that must fail changes nothing",
    arguments: [
      (RAM.pages * 4096, false, HypercallStatus.invalidAlignment),
      (0x8_0010, false, .invalidAlignment),
      (0x8_0008, true, .invalidParameter),
    ])
  func refusals(output: UInt64, isFast: Bool, status: HypercallStatus) throws {
    let guest = try Guest()
    #expect(answer(request(output: output, isFast: isFast), by: guest) == status)
    #expect(guest.ram.load(0..<Int(RAM.pages) * 4096).allSatisfy { $0 == 0 })
  }

  @Test("README.md shows this very code, in at most 30 lines")
  func readmeShowsTheCode() throws {
    let tests = URL(filePath: #filePath).deletingLastPathComponent()
    let source = try String(
      contentsOf: tests.appending(path: "EmbeddedGuest.swift"), encoding: .utf8)
    let readme = try String(
      contentsOf: tests.appending(path: "../../README.md").standardized, encoding: .utf8)

    let code = try #require(Self.text(of: source, from: "// README: begin\n", to: "// README: end"))
    let shown = try #require(
      Self.text(of: readme, from: "```swift\nimport HyperVCore\n", to: "```"))
    #expect("import HyperVCore\n" + shown == code)
    #expect(code.split(separator: "\n").count <= 30)
  }

  private static func text(of whole: String, from start: String, to end: String) -> String? {
    guard let first = whole.range(of: start),
      let last = whole.range(of: end, range: first.upperBound..<whole.endIndex)
    else { return nil }
    return String(whole[first.upperBound..<last.lowerBound])
  }
}
