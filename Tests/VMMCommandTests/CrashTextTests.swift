import HyperVCore
import Testing
import VMM

@testable import VMMCommand

/// What is printed of a guest's crash.
@Suite struct CrashTextTests {
  private func lines(
    _ parameters: [UInt64], control: UInt64 = 1 << 63, identity: UInt64 = 0x8100_0006_0C76_0000,
    message: [UInt8]? = nil
  ) -> [String] {
    CrashText(
      GuestCrash(
        report: CrashReport(parameters: parameters, control: control),
        identity: GuestIdentity(rawValue: identity), message: message, vcpuID: 3)
    ).lines
  }

  @Test func windows() {
    #expect(
      lines(
        [0x1A, 0x41792, 0xFFFF_8000, 0x20, 0], control: 5 << 61, identity: 0x0001_040A_0000_4F7C)
        == [
          "the guest reported its crash: Windows 10.0 build 20348, on vCPU 3, "
            + "bug check 0x1a MEMORY_MANAGEMENT; it writes no dump",
          "  P0 0x1a  MEMORY_MANAGEMENT", "  P1 0x41792  kind of fault", "  P2 0xffff8000",
          "  P3 0x20", "  P4 0x0",
        ])
  }

  @Test func linuxWithAMessage() {
    let message = Array("<0>[ 5.1] Kernel panic\n\n<4>\tCPU: 0\r\nend".utf8)
    #expect(
      lines([0, 0, 0, 0x1000, UInt64(message.count)], control: 3 << 62, message: message) == [
        "the guest reported its crash: Linux 6.12.118, on vCPU 3",
        "  P0 0x0", "  P1 0x0", "  P2 0x0", "  P3 0x1000  address of the message",
        "  P4 0x27  its length",
        "its message, 39 bytes:", "| <0>[ 5.1] Kernel panic", "| <4>\tCPU: 0", "| end",
      ])
  }

  @Test func aMessageThatIsNotThereIsSaid() {
    #expect(
      lines([0, 0, 0, 0x1000, 16], control: 3 << 62).last == "its message lies outside its memory")
    #expect(lines([0, 0, 0, 0x1000, 0], control: 3 << 62).count == 6)
  }

  @Test func nothingOfTheGuestsMovesTheCursor() throws {
    let every = (0...255 as ClosedRange<UInt8>).filter { $0 != 10 }
    for text in [every, Array("\u{202E}\u{2028}\u{85}\u{FEFF}\u{E000}".utf8)] {
      let shown = try #require(
        lines([0, 0, 0, 1, 1], control: 3 << 62, message: text).last?.dropFirst(2))
      #expect(
        shown.unicodeScalars.allSatisfy { scalar in
          scalar == "\t"
            || scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value)
              && ![0x202E, 0x2028, 0xFEFF, 0xE000].contains(scalar.value)
        })
    }
  }

  @Test func linesAreCounted() {
    let message = Array(String(repeating: "x\n", count: 2048).utf8)
    let shown = lines([0, 0, 0, 1, 4096], control: 3 << 62, message: message)
    #expect(shown.count == 7 + 1 + CrashText.maximumLineCount)
    #expect(shown[7] == "| (1,968 lines before left out)")
  }

  @Test func fiveTripleFaultsInTenSecondsAreTooMany() {
    let second: UInt64 = 1_000_000_000
    func verdicts(_ times: [UInt64]) -> [Bool] {
      var limit = TripleFaultLimit()
      return times.map { limit.note(at: $0 * second) }
    }
    #expect(verdicts([1, 2, 3, 4, 5]) == [false, false, false, false, true])
    #expect(verdicts([0, 3, 6, 9, 12, 13]) == [false, false, false, false, false, true])
    #expect(verdicts([0, 0, 0, 0, 11, 11]) == [false, false, false, false, false, false])
    #expect(verdicts((0..<50).map { $0 * 3 }).allSatisfy { !$0 })
    #expect(verdicts([7, 7, 7, 7, 17]) == [false, false, false, false, true])
  }
}
