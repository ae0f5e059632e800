import Bytes
import DeviceKit
import Devices
import Foundation
import Glibc
import GuestMemory
import HostSystem
import MachineSpecification
import TestSupport
import Testing
import ZeroTracker

@testable import VMM

/// A flat program that writes without end, with a device that writes into its memory as it runs,
/// and how it moves to another machine.
final class MovingMachine: Sendable {
  static let memoryByteCount: UInt64 = 16 << 20
  static let devicePageCount: UInt64 = 64
  /// Where it writes: in memory that it has from its start on, or in what is added.
  private static let start: UInt64 = 0x40_0000
  private static let addedStart: UInt64 = 0x1_0040_0000

  /// Counts, page after page, in 4 MiB; a bit of the count goes to the 4 MiB after that, so that
  /// those pages are zero, and not, by turns. Each time around it asks the device. A page above is
  /// written once: whoever forgets it never hears of it again.
  private static func program(at start: UInt64) -> [UInt8] {
    [0x31, 0xDB]  // xor ebx, ebx
      + [0x49, 0xB8] + start.littleEndianBytes  // mov r8, start
      + [0x49, 0xB9] + (start + 0x40_0000).littleEndianBytes  // mov r9, start + 0x400000
      + [
        0x4D, 0x89, 0x80, 0x00, 0x00, 0xA0, 0x00,  // mov [r8 + 0xA00000], r8
        0x4C, 0x89, 0xC7,  // round: mov rdi, r8
        0x48, 0xFF, 0xC3,  // next: inc rbx
        0x48, 0x89, 0x1F,  // mov [rdi], rbx
        0x48, 0x89, 0xDA,  // mov rdx, rbx
        0x48, 0xC1, 0xEA, 0x0A,  // shr rdx, 10
        0x83, 0xE2, 0x01,  // and edx, 1
        0x48, 0x89, 0x97, 0x00, 0x00, 0x40, 0x00,  // mov [rdi + 0x400000], rdx
        0x48, 0x81, 0xC7, 0x00, 0x10, 0x00, 0x00,  // add rdi, 0x1000
        0x4C, 0x39, 0xCF,  // cmp rdi, r9
        0x72, 0xDD,  // jb next
        0xE6, 0xEC,  // out 0xEC, al
        0xEB, 0xD6,  // jmp round
      ]
  }

  /// Writes a page for each byte that the guest sends, and gives one back now and then.
  private final class Writer: Sendable {
    /// Where it writes, page after page: nobody else does.
    let start: UInt64
    let memory = Guarded<GuestMemory?>(nil)
    let count = Guarded<UInt64>(0)

    init(at start: UInt64) {
      self.start = start
    }

    func write() {
      guard let memory = memory.withLock({ $0 }) else { return }
      let number = count.withLock { count in
        count += 1
        return count
      }
      let page = start + number % MovingMachine.devicePageCount * 4096
      do {
        try memory.store(number, at: GPA(page))
        if number % 7 == 0 { try memory.discard(at: GPA(page), byteCount: 4096) }
      } catch {
        Issue.record("\(error)")
      }
    }
  }

  let machine: Machine
  let control: MachineControl
  private let place: UInt64
  private let writer: Writer

  /// - Parameter grows: whether all that is written is in memory that was added: of 256 MiB that
  ///   may be, 128.
  init(
    _ source: WrittenPageSourceKind = .populated, _ backing: MemoryBacking = .anonymous,
    grows: Bool = false, restoration: MachineRestoration? = nil
  ) throws {
    place = grows ? Self.addedStart : Self.start
    let (control, writer) = (MachineControl(), Writer(at: place + 0x80_0000))
    var configuration = MachineConfiguration.confined(
      program: Self.program(at: place), memoryByteCount: Self.memoryByteCount)
    if grows { configuration.growthByteCount = 2 * GuestMemoryLayout.growthUnit }
    configuration.writtenPageSource = source
    configuration.backing = backing
    configuration.restoration = restoration
    configuration.portDevices = [
      (PortRange(start: 0xEC, count: 1), SignalPort { _ in writer.write() })
    ]
    machine = try Machine(configuration, control: control)
    if grows, restoration == nil {
      _ = try machine.addMemory(byteCount: GuestMemoryLayout.growthUnit)
    }
    writer.memory.withLock { [machine] in $0 = machine.memory }
    self.control = control
    self.writer = writer
  }

  /// Counts up as long as the guest runs.
  func count() throws -> UInt64 { try machine.memory.load(at: GPA(place)) }

  func waitForCounting() throws {
    let before = try count()
    try waitUntil { try count() > before }
  }

  /// Not by `async let`, for whose end a test that fails would wait.
  func start() -> Task<Void, Never> { Task { _ = await machine.runOnThread() } }

  /// Writes to pages that nobody else writes to: one comes in each round, and one goes.
  func write(inRound round: UInt64) {
    do {
      let start = place + 0x90_0000
      for page in 0..<4 as Range<UInt64> {
        let address = GPA(start + (page << 12))
        if page == round % 4 {
          try machine.memory.fill(at: address, byteCount: 4096, with: 0)
        } else {
          try machine.memory.store(round, at: address)
        }
      }
    } catch {
      Issue.record("\(error)")
    }
  }

  /// Moves it over a socket.
  func migrate(
    over descriptor: Int32, _ settings: MigrationSettings = MigrationSettings(),
    change: (inout MigrationHooks) -> Void = { _ in }
  ) throws(MigrationError) -> MigrationReport {
    let control = control
    var hooks = MigrationHooks { () throws(MachineError) in try control.pause() }
    change(&hooks)
    return try machine.migrate(over: descriptor, settings: settings, hooks: hooks)
  }

  /// All of its memory, of what was added the part that it uses.
  func contents() throws -> [UInt8] {
    try machine.memory.regions.reduce(into: []) { bytes, region in
      bytes += try machine.memory.read(at: region.start, byteCount: Int(Self.memoryByteCount))
    }
  }

  /// No page is reported that is not zero.
  func checkReports(after text: String) throws {
    let zero = [UInt8](repeating: 0, count: 4096)
    var count: UInt64 = 0
    for range in machine.memory.tracker.zeroedRanges(replyPage: nil, limit: .max) {
      count += range.pageCount
      for page in range.pageNumbers {
        let isZero = machine.memory.withBytes(at: GPA(page << 12), byteCount: 4096) { bytes in
          // SAFETY: both are 4096 bytes, which live for the call.
          unsafe bytes.withUnsafeBytes { unsafe memcmp($0.baseAddress!, zero, 4096) == 0 }
        }
        if isZero != true { Issue.record("page \(page) was reported and is not zero, \(text)") }
      }
    }
    #expect(count > 1000, "pages reported \(text)")
  }
}

/// Two sockets that are connected to each other.
final class SocketPair: Sendable {
  let near: Int32
  let far: Int32

  init() throws { (near, far) = try UnixSocket.pair() }

  deinit {
    close(near)
    close(far)
  }
}

/// Runs what blocks on a thread of its own.
func onThread<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
  await withCheckedContinuation { continuation in
    Thread.detachNewThread { continuation.resume(returning: body()) }
  }
}
