import HyperVCore
import TestSupport
import Testing

@Suite("Reply of HvExtCallGetBootZeroedMemory, TLFS web edition", .onVCPUThread)
struct BootZeroedMemoryReplyTests {
  static func range(_ start: UInt64, _ count: UInt64) -> BootZeroedRange {
    BootZeroedRange(startPage: start, pageCount: count)
  }

  @Test("sizes")
  func sizes() {
    #expect(BootZeroedMemoryReply.byteCount == 4088)
    #expect(BootZeroedMemoryReply.maximumRangeCount == 255)
    #expect(BootZeroedMemoryReply([]).encode() == [UInt8](repeating: 0, count: 4088))
  }

  @Test("one range: count, start GPN, page count, rest zero")
  func oneRange() {
    let bytes = BootZeroedMemoryReply([Self.range(0x1_2345, 0x6789_ABCD)]).encode()
    let expected: [UInt8] = [
      1, 0, 0, 0, 0, 0, 0, 0,
      0x45, 0x23, 0x01, 0, 0, 0, 0, 0,
      0xCD, 0xAB, 0x89, 0x67, 0, 0, 0, 0,
    ]
    #expect(Array(bytes[..<24]) == expected)
    #expect(bytes[24...].allSatisfy { $0 == 0 })
    #expect(bytes.count == 4088)
  }

  @Test("the last pair lies at 4072 and 4080; the 256th range is dropped")
  func full() {
    let reply = BootZeroedMemoryReply((1...300).map { Self.range($0, $0 + 1000) })
    #expect(reply.ranges.count == 255)
    let bytes = reply.encode()
    #expect(bytes.count == 4088)
    #expect(bytes.number(at: 0) == 255)
    #expect(bytes.number(at: 8) == 1)
    #expect(bytes.number(at: 4072) == 255)
    #expect(bytes.number(at: 4080) == 1255)
  }

  @Test("decoding undoes encoding", arguments: seeds)
  func roundTrip(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let counts = (0..<20).map { _ in Int.random(in: 0...255, using: &generator) }
    for count in [0, 1, 2, 254, 255] + counts {
      let ranges = (0..<count).map { _ in
        Self.range(generator.nextOfAnyMagnitude(), generator.nextOfAnyMagnitude())
      }
      let reply = BootZeroedMemoryReply(ranges)
      let decoded = try reply.encode().withRaw { bytes throws(BootZeroedMemoryReplyError) in
        try BootZeroedMemoryReply(decoding: bytes)
      }
      #expect(decoded.ranges == ranges, "seed \(seed)")
      #expect(decoded == reply, "seed \(seed)")
    }
  }

  @Test("a wrong length is refused", arguments: [0, 7, 8, 16, 4087, 4089, 4096])
  func wrongLength(length: Int) {
    let bytes = [UInt8](repeating: 0, count: length)
    #expect(throws: BootZeroedMemoryReplyError.byteCount(length)) {
      try bytes.withRaw { bytes throws(BootZeroedMemoryReplyError) in
        try BootZeroedMemoryReply(decoding: bytes)
      }
    }
  }

  @Test("more than 255 ranges are refused", arguments: [256, 0x1_0000_0000, .max] as [UInt64])
  func tooManyRanges(count: UInt64) {
    var bytes = [UInt8](repeating: 0, count: 4088)
    for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: count >> (8 * UInt64(index))) }
    #expect(throws: BootZeroedMemoryReplyError.rangeCount(count)) {
      try bytes.withRaw { bytes throws(BootZeroedMemoryReplyError) in
        try BootZeroedMemoryReply(decoding: bytes)
      }
    }
  }

  @Test("errors say what a reply looks like")
  func errorTexts() {
    let length = BootZeroedMemoryReplyError.byteCount(16)
    #expect(length.description.contains("16 bytes; it has exactly 4088"))
    let count = BootZeroedMemoryReplyError.rangeCount(256)
    #expect(count.description.contains("256 ranges; it has at most 255"))
  }
}
