import Foundation
import GuestMemory
import TestSupport
import Testing
import ZeroTracker

@testable import Devices

@Suite(.timeLimit(.minutes(10))) struct NVMeIOTests {
  private static let byteCount = 4 << 20
  private let bytes = pattern(byteCount, seed: 3)
  private let image: ImageFile

  init() throws {
    image = try ImageFile(bytes)
  }

  private func makeDisk(isReadOnly: Bool = false) throws -> (TestDisk, DriverQueue) {
    let disk = try TestDisk(RawImageStore(path: image.path, isReadOnly: isReadOnly))
    return (disk, try disk.makePair(1))
  }

  /// Pages from 4 MiB on in random order, with the first at a random offset, and PRPs that say so.
  private func scatter(
    _ byteCount: Int, _ memory: GuestMemory, _ generator: inout SeededGenerator
  ) throws -> (prp1: UInt64, prp2: UInt64, pieces: [(UInt64, Int)]) {
    let offset = Int.random(in: 0..<1024, using: &generator) * 4
    let pages = (0..<200).map { 0x40_0000 + UInt64($0) * 4096 }.shuffled(using: &generator)
    var pieces = [(pages[0] + UInt64(offset), min(byteCount, 4096 - offset))]
    var rest = byteCount - pieces[0].1
    while rest > 0 {
      pieces.append((pages[pieces.count], min(rest, 4096)))
      rest -= min(rest, 4096)
    }
    if pieces.count <= 2 {
      return (pieces[0].0, pieces.count == 2 ? pieces[1].0 : 0, pieces)
    }
    // The list ends a page, or begins near its end and goes on elsewhere.
    let start = 0x3F_0000 + UInt64(Int.random(in: 0..<512, using: &generator) * 8)
    var place = start
    for (index, piece) in pieces.dropFirst().enumerated() {
      if place == 0x3F_0FF8, index < pieces.count - 2 {
        try memory.store(UInt64(0x3F_8000), at: GPA(place))
        place = 0x3F_8000
      }
      try memory.store(piece.0, at: GPA(place))
      place += 8
    }
    return (pieces[0].0, start, pieces)
  }

  @Test("random reads and writes of all shapes equal the file", arguments: [1, 2, 3] as [UInt64])
  func roundTrips(seed: UInt64) throws {
    let (disk, queue) = try makeDisk()
    var generator = SeededGenerator(seed: seed)
    var model = bytes
    for _ in 0..<60 {
      let isLong = Bool.random(using: &generator)
      let count = Int.random(in: 1...(isLong ? 1024 : 20), using: &generator)
      let first = Int.random(in: 0...(Self.byteCount / 512 - count), using: &generator)
      let data = (first * 512)..<((first + count) * 512)
      let shape = try scatter(data.count, disk.memory, &generator)
      let isRead = Bool.random(using: &generator)
      if !isRead {
        model.replaceSubrange(data, with: pattern(data.count, seed: generator.next()))
        var done = data.lowerBound
        for (start, count) in shape.pieces {
          try disk.memory.write(Array(model[done..<(done + count)]), at: GPA(start))
          done += count
        }
      }
      let reply = try queue.run(
        .io(isRead ? .read : .write, UInt64(first), count, prp1: shape.prp1, prp2: shape.prp2))
      #expect(reply.status == .success, "seed \(seed)")
      if isRead {
        var there: [UInt8] = []
        for (start, count) in shape.pieces {
          there += try disk.memory.read(at: GPA(start), byteCount: count)
        }
        #expect(there == Array(model[data]), "seed \(seed)")
      }
    }
    #expect(try queue.run(.io(.flush, 0, 1, namespace: .max)).status == .success)
    #expect(try image.contents == model, "seed \(seed)")
  }

  @Test("data read is touched before it is there")
  func touches() throws {
    let (disk, queue) = try makeDisk()
    disk.memory.tracker.attach(source: QuietGuest())
    func isReported(_ address: UInt64) -> Bool {
      disk.memory.tracker.zeroedRanges(replyPage: nil, limit: .max).contains {
        $0.contains(GPA(address).page)
      }
    }
    #expect(isReported(0x60_0000))
    #expect(try queue.run(.io(.read, 0, 8, prp1: 0x60_0000)).status == .success)
    #expect(!isReported(0x60_0000))
  }

  struct Row: CustomTestStringConvertible, Sendable {
    let command: NVMeCommand
    let status: NVMeStatus
    let testDescription: String

    init(_ testDescription: String, _ status: NVMeStatus, _ command: NVMeCommand) {
      self.command = command
      self.status = status
      self.testDescription = testDescription
    }
  }

  @Test(
    "hostile commands",
    arguments: [
      Row("opcode", .invalidOpcode, .io(NVMeIOOpcode(rawValue: 5), 0, 1)),
      Row("namespace 0", .invalidNamespace, .io(.read, 0, 1, namespace: 0)),
      Row("all namespaces", .invalidNamespace, .io(.read, 0, 1, namespace: .max)),
      Row("past the end", .lbaOutOfRange, .io(.read, 8192, 1)),
      Row("across the end", .lbaOutOfRange, .io(.write, 8191, 2)),
      Row("last address", .lbaOutOfRange, .io(.read, .max, 1)),
      Row("overflow in bytes", .lbaOutOfRange, .io(.write, 1 << 55, 1)),
      Row("more than MDTS", .invalidField, .io(.read, 0, 1025)),
      Row("65536 sectors", .invalidField, .io(.write, 0, 65536)),
      Row("outside RAM", .dataTransferError, .io(.read, 0, 1, prp1: 0x80_0000)),
      Row(
        "across the end of RAM", .dataTransferError,
        .io(.write, 0, 9, prp1: 0x7F_F000, prp2: 0x80_0000)),
      Row("odd place", .prpOffsetInvalid, .io(.read, 0, 1, prp1: 0x20_0002)),
      Row("zeroes past the end", .lbaOutOfRange, .io(.writeZeroes, 8190, 3)),
      Row(
        "ranges outside RAM", .dataTransferError,
        .io(.datasetManagement, 255 | 4 << 32, 1, prp1: 1 << 50)),
      Row(
        "ranges past the end", .lbaOutOfRange,
        .io(.datasetManagement, 255 | 4 << 32, 1, prp1: 0x21_0000)),
    ])
  func hostile(row: Row) throws {
    let (disk, queue) = try makeDisk()
    try disk.memory.fill(at: GPA(0x21_0000), byteCount: 4096, with: 0xFF)
    #expect(try queue.run(row.command).status == row.status)
    #expect(try queue.run(.io(.read, 0, 1)).status == .success)
    #expect(try image.contents == bytes)
  }

  @Test(
    "zeroes, with and without giving space back; then a flush each",
    arguments: [0, 1 << 25, 1 << 30])
  func writeZeroes(flags: Int) throws {
    let (_, queue) = try makeDisk()
    let reply = try queue.run(.io(.writeZeroes, 10, 3000, flags: UInt32(flags)))
    #expect(reply.status == .success)
    let now = try image.contents
    let (start, end) = (5120, 5120 + 3000 * 512)
    #expect(now[start..<end].allSatisfy { $0 == 0 })
    #expect(now[..<start] == bytes[..<start])
    #expect(now[end...] == bytes[end...])
  }

  /// As Windows has it where the processors are more than the vectors.
  @Test("several submission queues on one completion queue: each command is answered once, by name")
  func sharedCompletionQueue() throws {
    let (disk, first) = try makeDisk()
    let second = try DriverQueue(2, disk.controller, disk.memory, count: 64, vcpu: disk.vcpu)
    #expect(
      try disk.admin.run(
        .admin(.createSubmissionQueue, prp1: second.submissionStart, 63 << 16 | 2, 1 << 16 | 1)
      ).status == .success)
    var expected: [UInt16: Set<UInt16>] = [1: [], 2: []]
    for sector in 0..<40 as Range<UInt64> {
      let queue = sector % 2 == 0 ? first : second
      let identifier = try queue.enqueue(
        .io(.read, sector, 1, prp1: 0x20_0000 + sector * 4096))
      expected[UInt16(queue.number)]?.insert(identifier)
    }
    second.ring()
    first.ring()
    for _ in 0..<40 {
      let reply = try first.wait()
      #expect(reply.status == .success)
      #expect(expected[reply.submissionQueue]?.remove(reply.identifier) != nil)
    }
    #expect(expected == [1: [], 2: []])
    #expect(try first.poll() == nil)
    for sector in 0..<40 {
      let found = try disk.memory.read(
        at: GPA(0x20_0000 + UInt64(sector) * 4096), byteCount: 512)
      #expect(found == Array(bytes[(sector * 512)..<((sector + 1) * 512)]))
    }
  }

  @Test("a discard gives space back to the host, and only where it was asked to")
  func discard() throws {
    let (disk, queue) = try makeDisk()
    let before = image.blockCount
    // 1 MiB at 1 MiB and at 3 MiB, and an empty range; the list straddles pages.
    let list: [(UInt32, UInt64)] = [(2048, 2048), (0, 5), (2048, 6144)]
    for (index, range) in list.enumerated() {
      try disk.memory.store(range.0, at: GPA(0x20_0FE4 + UInt64(index * 16)))
      try disk.memory.store(range.1, at: GPA(0x20_0FE8 + UInt64(index * 16)))
    }
    let hint = NVMeCommand.io(.datasetManagement, 2, 1, prp1: 0x20_0FE0, prp2: 0x20_1000)
    #expect(try queue.run(hint).status == .success)
    #expect(try image.contents == bytes)
    var command = hint
    command.dwords[1] = 4
    #expect(try queue.run(command).status == .success)
    let now = try image.contents
    for (range, isKept) in [(0..<1, true), (1..<2, false), (2..<3, true), (3..<4, false)] {
      let range = (range.lowerBound << 20)..<(range.upperBound << 20)
      #expect(isKept ? now[range] == bytes[range] : now[range].allSatisfy { $0 == 0 })
    }
    #expect(image.blockCount <= before - 4096 + 64)
  }

  @Test("a read-only disk says so and takes no change")
  func readOnly() throws {
    let (disk, queue) = try makeDisk(isReadOnly: true)
    #expect(try queue.run(.io(.read, 5, 3)).status == .success)
    #expect(try queue.run(.io(.flush, 0, 1)).status == .success)
    for opcode: NVMeIOOpcode in [.write, .writeZeroes, .datasetManagement] {
      #expect(try queue.run(.io(opcode, 0, 1)).status == .writeToReadOnlyRange)
    }
    _ = try disk.admin.run(.admin(.identify, namespace: 1, prp1: 0x20_0000, 0))
    #expect(try disk.memory.load(at: GPA(0x20_0063), as: UInt8.self) == 1)
    #expect(try image.contents == bytes)
  }

  @Test("a file that was cut behind our back is a media error, and the disk goes on")
  func truncated() throws {
    let (_, queue) = try makeDisk()
    image.truncate(1 << 20)
    #expect(try queue.run(.io(.read, 4096, 1)).status == .unrecoveredReadError)
    #expect(try queue.run(.io(.read, 2047, 2)).status == .unrecoveredReadError)
    #expect(try queue.run(.io(.read, 2047, 1)).status == .success)
    #expect(try queue.run(.io(.write, 4096, 1)).status == .success)
  }

  @Test("errors of the host are statuses that may be tried again")
  func hostErrors() throws {
    let disk = try TestDisk(GatedStore())
    let queue = try disk.makePair(1)
    #expect(try queue.run(.io(.write, 0, 1)).status == .capacityExceeded)
    #expect(try queue.run(.io(.flush, 0, 1)).status == .writeFault)
    #expect(try queue.run(.io(.writeZeroes, 0, 1, flags: 1 << 30)).status == .writeFault)
    #expect(try queue.run(.io(.writeZeroes, 0, 1)).status == .success)
    #expect(try disk.admin.run(.admin(.setFeatures, 6, 0)).status == .success)
    #expect(try queue.run(.io(.writeZeroes, 0, 1)).status == .writeFault)
  }
}
