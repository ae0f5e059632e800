import Bytes
import Testing

@Suite struct LittleEndianTests {
  private static let bytes: [UInt8] = [0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87, 0x98]

  @Test func integersOfEachWidthAtAnyOffset() {
    #expect(Self.bytes.loadLE(at: 0, as: UInt8.self) == 0x10)
    #expect(Self.bytes.loadLE(at: 1, as: UInt16.self) == 0x3221)
    #expect(Self.bytes.loadLE(at: 3, as: UInt32.self) == 0x7665_5443)
    #expect(Self.bytes.loadLE(at: 1, as: UInt64.self) == 0x9887_7665_5443_3221)
    #expect(Self.bytes.loadLE(at: 8, as: UInt8.self) == 0x98)
  }

  @Test func aStoreChangesItsBytesAlone() {
    var bytes = [UInt8](repeating: 0xEE, count: 9)
    bytes.storeLE(0x1122 as UInt16, at: 1)
    #expect(bytes == [0xEE, 0x22, 0x11, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE])
    bytes.storeLE(0xA1B2_C3D4 as UInt32, at: 5)
    #expect(bytes == [0xEE, 0x22, 0x11, 0xEE, 0xEE, 0xD4, 0xC3, 0xB2, 0xA1])
    bytes.storeLE(0x0102_0304_0506_0708 as UInt64, at: 0)
    #expect(bytes == [8, 7, 6, 5, 4, 3, 2, 1, 0xA1])
    bytes.storeLE(0x5A as UInt8, at: 8)
    #expect(bytes[8] == 0x5A)
  }

  @Test func aStoreLeavesCopiesOfTheArrayAlone() {
    let before: [UInt8] = [1, 2, 3, 4]
    var after = before
    after.storeLE(0x0908 as UInt16, at: 1)
    #expect(before == [1, 2, 3, 4])
    #expect(after == [1, 8, 9, 4])
  }

  @Test(arguments: [-1, 6, 9, Int.max, Int.min])
  func fieldsOutsideAreNil(offset: Int) {
    #expect(Self.bytes.loadLE(at: offset, byteCount: 4) == nil)
  }

  @Test func fieldsOfEveryByteCount() {
    var expected: UInt64 = 0
    for count in 0...8 {
      #expect(Self.bytes.loadLE(at: 1, byteCount: count) == expected)
      if count < 8 { expected |= UInt64(Self.bytes[1 + count]) << UInt64(8 * count) }
    }
    // Nothing is everywhere inside, the end included, and nowhere else.
    #expect(Self.bytes.loadLE(at: 9, byteCount: 0) == 0)
    #expect(Self.bytes.loadLE(at: 10, byteCount: 0) == nil)
    #expect([UInt8]().loadLE(at: 0, byteCount: 1) == nil)
  }

  @Test func integersAsBytes() {
    #expect((0x12 as UInt8).littleEndianBytes == [0x12])
    #expect((0x1234 as UInt16).littleEndianBytes == [0x34, 0x12])
    #expect((0x1234_5678 as UInt32).littleEndianBytes == [0x78, 0x56, 0x34, 0x12])
    #expect((0x8001 as UInt64).littleEndianBytes == [1, 0x80, 0, 0, 0, 0, 0, 0])
    #expect([0x0102, 0xFFFE as UInt16].littleEndianBytes == [2, 1, 0xFE, 0xFF])
    #expect([UInt64]().littleEndianBytes.isEmpty)
  }

  @Test func spansReadAndWriteAsArraysDo() {
    var bytes = Self.bytes
    unsafe bytes.withUnsafeMutableBytes { buffer in
      var span = unsafe buffer.mutableBytes
      span.storeLE(0xBEEF as UInt16, at: 7)
    }
    let (last, outside) = unsafe bytes.withUnsafeBytes { buffer in
      let span = unsafe buffer.bytes
      return (span.loadLE(at: 7, as: UInt16.self), span.loadLE(at: 8, byteCount: 2))
    }
    #expect(last == 0xBEEF && outside == nil)
    #expect(bytes == Self.bytes.dropLast(2) + [0xEF, 0xBE])
  }

  @Test(arguments: [1, 2, 4, 8])
  func buffersTakeTheLowBytes(byteCount: Int) {
    let value: UInt64 = 0x8877_6655_4433_2211
    var bytes = [UInt8](repeating: 0xEE, count: 9)
    unsafe bytes.withUnsafeMutableBytes { buffer in
      // One byte further: not aligned.
      unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[1...]).storeLE(
        value, byteCount: byteCount)
    }
    #expect(bytes[0] == 0xEE)
    #expect(Array(bytes[1...byteCount]) == Array(value.littleEndianBytes.prefix(byteCount)))
    #expect(bytes[(byteCount + 1)...].allSatisfy { $0 == 0xEE })
    let found = unsafe bytes.withUnsafeBytes { buffer in
      unsafe UnsafeRawBufferPointer(rebasing: buffer[1...]).loadLE(byteCount: byteCount)
    }
    #expect(found == value & .max >> UInt64(64 - 8 * byteCount))
  }

  @Test func outsideTheBytesIntegersTrap() async {
    await #expect(processExitsWith: .failure) {
      _ = [UInt8](repeating: 0, count: 4).loadLE(at: 1, as: UInt32.self)
    }
    await #expect(processExitsWith: .failure) {
      _ = [UInt8](repeating: 0, count: 4).loadLE(at: -1, as: UInt16.self)
    }
    await #expect(processExitsWith: .failure) {
      _ = [UInt8]().loadLE(at: .min, as: UInt64.self)
    }
    await #expect(processExitsWith: .failure) {
      var bytes = [UInt8](repeating: 0, count: 4)
      bytes.storeLE(0 as UInt16, at: 3)
    }
    await #expect(processExitsWith: .failure) {
      var bytes = [UInt8](repeating: 0, count: 4)
      bytes.storeLE(0 as UInt16, at: -1)
    }
    await #expect(processExitsWith: .failure) {
      _ = [UInt8](repeating: 0, count: 16).loadLE(at: 0, byteCount: 9)
    }
  }
}
