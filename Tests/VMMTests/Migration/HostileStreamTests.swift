import Bytes
import DeviceKit
import Glibc
import GuestMemory
import HostSystem
import TestSupport
import Testing
import ZeroTracker

@testable import VMM

/// What a destination is sent by anybody: an error, or memory and a state that were sent.
struct HostileStreamTests {
  private static let ramByteCount: UInt64 = 4 << 20

  private func frame(
    _ kind: MigrationFrame.Kind, _ argument: UInt64, _ payload: [UInt8]
  ) -> MigrationFrame {
    // SAFETY: the bytes are lent for the call.
    unsafe payload.withUnsafeBytes {
      unsafe MigrationFrame(kind, argument: argument, payload: $0)
    }
  }

  /// Frames whose checksums fit, with any contents.
  @Test func anyFrames() throws {
    var generator = SeededGenerator(seed: 0x19_03)
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: Self.ramByteCount))
    var (taken, refused) = (0, 0)
    for _ in 0..<3000 {
      var intake = MigrationIntake(into: memory, after: MigrationSum())
      for _ in 0..<4 {
        let kind = try #require(MigrationFrame.Kind.allCases.randomElement(using: &generator))
        let sizes = [0, 1, 8, 16, 32, 4096, 8192].filter { $0 <= kind.maximumByteCount }
        var payload = [UInt8](
          repeating: 0, count: try #require(sizes.randomElement(using: &generator)))
        for place in payload.indices.prefix(32) {
          payload[place] = .random(in: 0...255, using: &generator)
        }
        if kind == .zeroes, payload.count >= 16, Bool.random(using: &generator) {
          payload.replaceSubrange(
            0..<16,
            with: generator.nextOfAnyMagnitude().littleEndianBytes
              + generator.nextOfAnyMagnitude().littleEndianBytes)
        }
        let frame = frame(kind, generator.nextOfAnyMagnitude(), payload)
        do throws(MigrationError) {
          _ = try intake.take(frame, payload)
          taken += 1
        } catch {
          refused += 1
          break
        }
      }
    }
    #expect(taken > 200 && refused > 500, "\(taken) taken, \(refused) refused")
  }

  /// Headers of any bytes: never more than a kind may have.
  @Test func anyHeaders() {
    var generator = SeededGenerator(seed: 0x19_04)
    for _ in 0..<5000 {
      var bytes = (0..<MigrationFrame.headerByteCount).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      if Bool.random(using: &generator) {
        bytes.replaceSubrange(
          0..<4, with: UInt32.random(in: 0...70, using: &generator).littleEndianBytes)
        bytes[7] = 0
      }
      guard let frame = try? MigrationFrame(decoding: bytes) else { continue }
      #expect(frame.byteCount <= frame.kind.maximumByteCount)
      #expect(frame.header == bytes)
    }
  }

  /// What comes after the memory has to be whole: nothing missing, twice, or in another order.
  @Test func framesThatAreMissing() throws {
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: Self.ramByteCount))
    var saved = SavedMachine()
    saved.state.add([1, 2, 3], as: "part")
    let encoded = saved.encoded
    let pieces: [(MigrationFrame.Kind, UInt64, [UInt8])] = [
      (.pages, 3, [UInt8](repeating: 3, count: 8192)),
      (.zeroes, 0, (4 as UInt64).littleEndianBytes + (1 as UInt64).littleEndianBytes),
      (.state, 0, Array(encoded[..<10])), (.state, 0, Array(encoded[10...])),
    ]
    var sum = MigrationSum()
    for (kind, argument, payload) in pieces { sum.add(frame(kind, argument, payload)) }
    let end = sum.value.littleEndianBytes
    func take(_ order: [Int]) throws(MigrationError) -> SavedMachine? {
      var intake = MigrationIntake(into: memory, after: MigrationSum())
      for index in order {
        let (kind, argument, payload) = pieces[index]
        _ = try intake.take(frame(kind, argument, payload), payload)
      }
      return try intake.take(frame(.end, sum.frameCount, end), end)
    }
    #expect(try take([0, 1, 2, 3]) == saved)
    #expect(try memory.load(at: GPA(0x3000), as: UInt8.self) == 3)
    #expect(try memory.load(at: GPA(0x4000), as: UInt8.self) == 0)
    for order in [
      [0, 1, 2], [1, 2, 3], [1, 0, 2, 3], [0, 1, 3, 2], [0, 0, 2, 3], [0, 1, 2, 3, 3], [],
    ] {
      #expect(throws: MigrationError.self, "\(order)") { try take(order) }
    }
  }
}
