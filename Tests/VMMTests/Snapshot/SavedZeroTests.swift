import DeviceKit
import Devices
import Glibc
import GuestMemory
import MachineSpecification
import Synchronization
import TestSupport
import Testing
import ZeroTracker

@testable import VMM

/// What a restored machine reports as zero, against what its memory holds.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct SavedZeroTests {
  private static let memoryByteCount: UInt64 = 16 << 20
  private static let pageCount = Int(memoryByteCount >> 12)
  private static let go: UInt64 = 0x30_0000
  private static let wereRestored = 0x40_0000 >> 12
  private static let chunkPageCount = 16
  private static let zeroPage = [UInt8](repeating: 0, count: 4096)

  /// Writes every fourth page of 1 MiB, and zero to the next; then, when it may, every third page
  /// of another place.
  private static let program: [UInt8] = [
    0xBF, 0x00, 0x00, 0x40, 0x00,  // mov edi, 0x400000
    0xB9, 0x40, 0x00, 0x00, 0x00,  // mov ecx, 64
    0xC6, 0x07, 0x01,  // next: mov byte [rdi], 1
    0xC6, 0x87, 0x00, 0x10, 0x00, 0x00, 0x00,  // mov byte [rdi + 0x1000], 0
    0x48, 0x81, 0xC7, 0x00, 0x40, 0x00, 0x00,  // add rdi, 0x4000
    0xFF, 0xC9,  // dec ecx
    0x75, 0xEB,  // jnz next
    0xE6, 0xEC,  // out 0xEC, al
    0x80, 0x3C, 0x25, 0x00, 0x00, 0x30, 0x00, 0x00,  // wait: cmp byte [0x300000], 0
    0x74, 0xF6,  // je wait
    0xBF, 0x00, 0x00, 0xC0, 0x00,  // mov edi, 0xC00000
    0xB9, 0x10, 0x00, 0x00, 0x00,  // mov ecx, 16
    0xC6, 0x07, 0x01,  // more: mov byte [rdi], 1
    0x48, 0x81, 0xC7, 0x00, 0x30, 0x00, 0x00,  // add rdi, 0x3000
    0xFF, 0xC9,  // dec ecx
    0x75, 0xF2,  // jnz more
    0xE6, 0xEC,  // out 0xEC, al
    0xEB, 0xFE,  // jmp to itself
  ]

  private final class Signals: Sendable {
    private let storage = Mutex(0)
    var count: Int { storage.withLock { $0 } }
    func add() { storage.withLock { $0 += 1 } }
  }

  private func configuration(
    _ source: WrittenPageSourceKind, _ backing: MemoryBacking, _ signals: Signals
  ) -> MachineConfiguration {
    var configuration = MachineConfiguration.confined(
      program: Self.program, memoryByteCount: Self.memoryByteCount)
    configuration.writtenPageSource = source
    configuration.backing = backing
    configuration.portDevices = [
      (PortRange(start: 0xEC, count: 1), SignalPort { _ in signals.add() })
    ]
    return configuration
  }

  private func zeroPages(_ memory: GuestMemory) throws -> [Bool] {
    try (0..<Self.pageCount).map { page in
      let bytes = try memory.read(at: GPA(UInt64(page) << 12), byteCount: 4096)
      // A loop over bytes takes a minute where processors are emulated.
      // SAFETY: both are 4096 bytes, which live for the call.
      return unsafe memcmp(bytes, Self.zeroPage, 4096) == 0
    }
  }

  /// - Parameter withheld: pages that need not be reported though they are zero: of chunks that the
  ///   machine or its host has written.
  private func check(_ memory: GuestMemory, isWithheld: (Int) -> Bool) throws {
    var reported = [Bool](repeating: false, count: Self.pageCount)
    for range in memory.tracker.zeroedRanges(replyPage: nil, limit: .max) {
      for page in range.pageNumbers { reported[Int(page)] = true }
    }
    let zero = try zeroPages(memory)
    let wrong = reported.indices.filter { reported[$0] && !zero[$0] }
    #expect(wrong == [], "reported and not zero")
    let missing = zero.indices.filter { zero[$0] && !reported[$0] && !isWithheld($0) }
    #expect(missing == [], "zero and not reported, of \(zero.count { $0 }) that are zero")
  }

  @Test(arguments: WrittenPageSourceKind.allCases, [MemoryBacking.anonymous, .memfd])
  func reportsWhatIsZero(source: WrittenPageSourceKind, backing: MemoryBacking) async throws {
    guard source.obstacle == nil else { return }
    let file = try SavedFile()
    let saved = try await save(source, backing, to: file)
    let chunks = Set(
      saved.memory.flatMap { $0.pages.pageNumbers.map { Int($0) / Self.chunkPageCount } })

    for other in WrittenPageSourceKind.allCases where other.obstacle == nil {
      let signals = Signals()
      let control = MachineControl()
      var configuration = configuration(other, backing, signals)
      configuration.restoration = MachineRestoration(saved, memoryDescriptor: file.descriptor)
      let machine = try Machine(configuration, control: control)
      try check(machine.memory) { chunks.contains($0 / Self.chunkPageCount) }
      let outcome = Task { await machine.runOnThread() }
      try machine.memory.store(1 as UInt64, at: GPA(Self.go))
      try machine.memory.write([1], at: GPA(0xE0_0000))
      while signals.count == 0 { await Task.yield() }
      #expect(try control.pause())
      // The chunks with what guest and host have written since.
      let others: Set = [0x30, 0xC0, 0xC1, 0xC2, 0xE0]
      try check(machine.memory) {
        chunks.contains($0 / Self.chunkPageCount) || others.contains($0 / Self.chunkPageCount)
      }
      control.end(with: .stopped)
      _ = await outcome.value
    }
  }

  /// A machine whose guest and host have written pages, and whose host has taken some back.
  private func save(
    _ source: WrittenPageSourceKind, _ backing: MemoryBacking, to file: SavedFile
  ) async throws -> SavedMachine {
    let signals = Signals()
    let control = MachineControl()
    let machine = try Machine(configuration(source, backing, signals), control: control)
    let outcome = Task { await machine.runOnThread() }
    while signals.count == 0 { await Task.yield() }
    try machine.memory.write([1], at: GPA(0x80_0FFF))
    try machine.memory.fill(at: GPA(0x90_0000), byteCount: 0x4000, with: 0)
    try machine.memory.write([UInt8](repeating: 5, count: 0x4_0000), at: GPA(0xA0_0000))
    // Part of what the guest wrote, and of what the host did.
    try machine.memory.discard(at: GPA(0x44_0000), byteCount: 0x4_0000)
    try machine.memory.discard(at: GPA(0xA0_0000), byteCount: 0x2_0000)
    #expect(try control.pause())
    let before = try zeroPages(machine.memory)
    let saved = try machine.save(memoryTo: file.descriptor)
    var pages = [Bool](repeating: true, count: Self.pageCount)
    for part in saved.memory { for page in part.pages.pageNumbers { pages[Int(page)] = false } }
    #expect(pages == before, "exactly what is not zero is in the file")
    control.end(with: .stopped)
    _ = await outcome.value
    return saved
  }

  private static let unit = GuestMemoryLayout.growthUnit
  private static let added: UInt64 = 0x1_0000_0000

  private func growing(
    _ source: WrittenPageSourceKind, _ backing: MemoryBacking,
    _ restoration: MachineRestoration? = nil, by unitCount: UInt64 = 3
  ) throws -> Machine {
    var configuration = configuration(source, backing, Signals())
    configuration.growthByteCount = unitCount * Self.unit
    configuration.restoration = restoration
    return try Machine(configuration, control: MachineControl())
  }

  /// Memory that was added, part of it used and given back, is what it was; more can be added.
  @Test(arguments: WrittenPageSourceKind.allCases, [MemoryBacking.anonymous, .memfd])
  func whatWasAddedGoesAlong(source: WrittenPageSourceKind, backing: MemoryBacking) async throws {
    guard source.obstacle == nil else { return }
    let machine = try growing(source, backing)
    let outcome = Task { await machine.runOnThread() }
    for _ in 0..<2 { _ = try machine.addMemory(byteCount: Self.unit) }
    let used = Self.added + Self.unit - 0x8_0000
    let bytes = [UInt8](repeating: 5, count: 0x10_0000)
    try machine.memory.write(bytes, at: GPA(used))
    try machine.memory.discard(at: GPA(used), byteCount: 0x4_0000)
    #expect(try machine.control.pause())
    let file = try SavedFile()
    let saved = try machine.save(memoryTo: file.descriptor)
    machine.control.end(with: .stopped)
    _ = await outcome.value
    let restoration = MachineRestoration(
      try SavedMachine(decoding: saved.encoded), memoryDescriptor: file.descriptor)
    for other in WrittenPageSourceKind.allCases
    where other.obstacle == nil && (backing == .anonymous || other == source) {
      let restored = try growing(other, backing, restoration)
      let memory = restored.memory
      #expect(memory.addedByteCount == 2 * Self.unit)
      let now = try memory.read(at: GPA(used), byteCount: bytes.count)
      // Loops over bytes take minutes where processors are emulated.
      // SAFETY: all are as long, or longer.
      let isSame = unsafe now.withUnsafeBytes { now in
        unsafe memcmp(now.baseAddress!, [UInt8](repeating: 0, count: 0x4_0000), 0x4_0000) == 0
          && memcmp(now.baseAddress! + 0x4_0000, bytes, bytes.count - 0x4_0000) == 0
      }
      #expect(isSame)
      // A guest that runs: some sources begin with it.
      let end = Task { await restored.runOnThread() }
      try checkAdded(memory, usedPageCount: 0xC0)
      #expect(try restored.addMemory(byteCount: Self.unit) == GPA(Self.added + 2 * Self.unit))
      try memory.write([1], at: GPA(Self.added + 3 * Self.unit - 1))
      try checkAdded(memory, usedPageCount: 0xC1)
      restored.control.end(with: .stopped)
      _ = await end.value
    }
    for unitCount in [0, 2, 4] as [UInt64] {
      #expect(throws: MachineError.self) {
        try growing(source, backing, restoration, by: unitCount)
      }
    }
  }

  /// No page of what was added is reported that is used, and nearly all others are. To read all of
  /// a shared file would allocate it: what is far from what is used is not looked at.
  private func checkAdded(_ memory: GuestMemory, usedPageCount: UInt64) throws {
    let all = Self.added >> 12..<(Self.added + memory.addedByteCount) >> 12
    var count: UInt64 = 0
    for range in memory.tracker.zeroedRanges(replyPage: nil, limit: .max) {
      let pages = range.pageNumbers.clamped(to: all)
      count += UInt64(pages.count)
      let near = (Self.added + Self.unit) >> 12
      for page in pages where page + 512 > near && page < near + 512 || page + 32 > all.upperBound {
        let isZero = memory.withBytes(at: GPA(page << 12), byteCount: 4096) { bytes in
          // SAFETY: both are 4096 bytes, which live for the call.
          unsafe bytes.withUnsafeBytes { unsafe memcmp($0.baseAddress!, Self.zeroPage, 4096) == 0 }
        }
        if isZero != true { Issue.record("page \(page) was reported and is not zero") }
      }
    }
    let zeroCount = UInt64(all.count) - usedPageCount
    // All but what shares a chunk with a page that is used.
    #expect((zeroCount - 2 * UInt64(Self.chunkPageCount)...zeroCount).contains(count))
  }
}
