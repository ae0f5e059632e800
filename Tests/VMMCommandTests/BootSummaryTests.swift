import MachineSpecification
import Testing

@testable import VMMCommand

@Suite struct BootSummaryTests {
  private func answer(_ pageCounts: UInt64...) -> HypercallRecord {
    HypercallRecord(
      vcpuID: 0, code: 0x8002, name: "", input: 0x8002, status: 0,
      ranges: pageCounts.map { ReportedRange(startPage: 0, pageCount: $0) })
  }

  @Test func aGuestThatNeverAsked() {
    let summary = BootSummary()
    summary.begin(memory: .mebi(512))
    summary.note(
      HypercallRecord(vcpuID: 0, code: 0x8001, name: "", input: 0x8001, status: 0, capabilities: 1))
    #expect(summary.text == "the guest did not ask which of its 512 MiB are zero")
    summary.end(residentByteCount: 106 << 20)
    #expect(
      summary.text == "the guest did not ask which of its 512 MiB are zero; resident 106 MiB")
  }

  @Test func theLargestAnswerCounts() {
    let summary = BootSummary()
    summary.begin(memory: .gibi(1))
    summary.note(answer(256, 512))
    summary.note(answer(256))
    summary.end(residentByteCount: 4096)
    #expect(summary.text?.hasPrefix("reported as zero 3 MiB of 1 GiB in 2 ranges, 0.0") == true)
    #expect(summary.text?.hasSuffix(" s after the start; resident 4 KiB") == true)
  }

  @Test func anAnswerOfNothingIsAnAnswer() {
    let summary = BootSummary()
    summary.begin(memory: .gibi(1))
    summary.note(answer())
    #expect(summary.text?.hasPrefix("reported as zero 0 bytes of 1 GiB in 0 ranges") == true)
  }

  @Test func aResetBeginsAnew() {
    let summary = BootSummary()
    summary.begin(memory: .gibi(1))
    summary.note(answer(256))
    summary.end(residentByteCount: 4096)
    summary.begin(memory: .gibi(1))
    #expect(summary.text == "the guest did not ask which of its 1 GiB are zero")
  }
}
