import DeviceKit
import GuestMemory
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

/// A flood of frames while the tracker is asked: no answer names a page that had bytes of a frame
/// before the question.
struct VirtioNetTruthTests {
  private static let frameCount = 1024
  /// So many at a time, so that questions are asked amid the flood however threads run.
  private static let queueSize: UInt16 = 64
  /// A page for each frame, from here on.
  private static let firstPage: UInt64 = 0x800

  private let memory: GuestMemory

  init() throws {
    memory = try GuestMemory(
      layout: GuestMemoryLayout(ramByteCount: 16 << 20),
      granularity: TrackingGranularity(byteCount: 4096))
    memory.tracker.attach(source: QuietGuest())
  }

  /// Whether a page has any byte of a frame: its header's *num_buffers* is 1, its body has no zero.
  private func isWritten(_ index: Int) throws -> Bool {
    let start = (Self.firstPage + UInt64(index)) * 4096
    let words: [UInt64] = [
      try memory.load(at: GPA(start + 8)), try memory.load(at: GPA(start + 512)),
      try memory.load(at: GPA(start + 1504)),
    ]
    return words.contains { $0 != 0 }
  }

  @Test(arguments: [false, true])
  func noAnswerNamesAPageOfAFrame(isPacked: Bool) throws {
    let cable = TestCable()
    let driver = try VirtioTestDriver(memory: memory) {
      .network(cable, address: [0x52, 0x54, 0, 1, 2, 3], context: $0)
    }
    var features: VirtioFeatures = [.version1, .eventIndex]
    if isPacked { features.insert(.packedRing) }
    #expect(driver.negotiate(features))
    var ring = try TestRing(memory, size: Self.queueSize, isPacked: isPacked)
    driver.enable(VirtioNet.Queue.receive, ring)
    driver.ready()

    var (offered, received) = (0, 0)
    func offer() throws {
      while offered < Self.frameCount, offered - received < Int(Self.queueSize) {
        let page = Self.firstPage + UInt64(offered)
        try ring.offer([.init(address: page * 4096, byteCount: 2048, isWritten: true)])
        offered += 1
      }
      driver.notify(VirtioNet.Queue.receive)
    }
    try offer()
    let frame = [UInt8](repeating: 0xFF, count: 1514)
    for _ in 0..<(Self.frameCount / 32) {
      cable.put([[UInt8]](repeating: frame, count: 32))
    }
    var (answerCount, answersAmid, seen) = (0, 0, 0)
    // Pages are written in their order, so only those behind the last one seen are looked at.
    while received < Self.frameCount {
      while seen < Self.frameCount, try isWritten(seen) { seen += 1 }
      let zeroed = memory.tracker.zeroedRanges(replyPage: nil, limit: .max)
      let wrong = (0..<seen).filter { index in
        zeroed.contains { $0.contains(GPN(rawValue: Self.firstPage + UInt64(index))) }
      }
      #expect(wrong.isEmpty, "of \(seen) written pages")
      answerCount += 1
      if seen > 0, seen < Self.frameCount { answersAmid += 1 }
      // What was never written is still reported, or the rest would say nothing.
      #expect(zeroed.contains { $0.contains(GPN(rawValue: Self.firstPage - 1)) })
      received += try ring.answers().count
      try offer()
    }
    #expect(seen > 0 && answersAmid > 0, "\(answerCount) answers")
  }
}
