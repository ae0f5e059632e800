import Bytes
import Testing

@Suite struct BigEndianTests {
  private static let bytes: [UInt8] = [0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87, 0x98]

  @Test func integersOfEachWidthAtAnyOffset() {
    #expect(Self.bytes.loadBE(at: 0, as: UInt8.self) == 0x10)
    #expect(Self.bytes.loadBE(at: 1, as: UInt16.self) == 0x2132)
    #expect(Self.bytes.loadBE(at: 3, as: UInt32.self) == 0x4354_6576)
    #expect(Self.bytes.loadBE(at: 1, as: UInt64.self) == 0x2132_4354_6576_8798)
    #expect(Self.bytes.loadBE(at: 8, as: UInt8.self) == 0x98)
  }

  @Test func aStoreChangesItsBytesAlone() {
    var bytes = [UInt8](repeating: 0xEE, count: 9)
    bytes.storeBE(0x1122 as UInt16, at: 1)
    #expect(bytes == [0xEE, 0x11, 0x22, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE])
    bytes.storeBE(0xA1B2_C3D4 as UInt32, at: 5)
    #expect(bytes == [0xEE, 0x11, 0x22, 0xEE, 0xEE, 0xA1, 0xB2, 0xC3, 0xD4])
    bytes.storeBE(0x0102_0304_0506_0708 as UInt64, at: 0)
    #expect(bytes == [1, 2, 3, 4, 5, 6, 7, 8, 0xD4])
    bytes.storeBE(0x5A as UInt8, at: 8)
    #expect(bytes[8] == 0x5A)
  }

  @Test func integersAsBytes() {
    #expect((0x12 as UInt8).bigEndianBytes == [0x12])
    #expect((0x1234 as UInt16).bigEndianBytes == [0x12, 0x34])
    #expect((0x1234_5678 as UInt32).bigEndianBytes == [0x12, 0x34, 0x56, 0x78])
    #expect((0x8001 as UInt64).bigEndianBytes == [0, 0, 0, 0, 0, 0, 0x80, 1])
  }

  @Test func spansReadAndWriteAsArraysDo() {
    var bytes = Self.bytes
    unsafe bytes.withUnsafeMutableBytes { buffer in
      var span = unsafe buffer.mutableBytes
      span.storeBE(0xBEEF as UInt16, at: 7)
    }
    let last = unsafe bytes.withUnsafeBytes { buffer in
      unsafe buffer.bytes.loadBE(at: 7, as: UInt16.self)
    }
    #expect(last == 0xBEEF)
    #expect(bytes == Self.bytes.dropLast(2) + [0xBE, 0xEF])
  }

  @Test func outsideTheBytesIntegersTrap() async {
    await #expect(processExitsWith: .failure) {
      _ = [UInt8](repeating: 0, count: 4).loadBE(at: 1, as: UInt32.self)
    }
    await #expect(processExitsWith: .failure) {
      _ = [UInt8](repeating: 0, count: 4).loadBE(at: -1, as: UInt16.self)
    }
    await #expect(processExitsWith: .failure) {
      var bytes = [UInt8](repeating: 0, count: 4)
      bytes.storeBE(0 as UInt16, at: 3)
    }
    await #expect(processExitsWith: .failure) {
      var bytes = [UInt8](repeating: 0, count: 4)
      bytes.storeBE(0 as UInt16, at: -1)
    }
  }
}
