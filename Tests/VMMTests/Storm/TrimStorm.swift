import DeviceKit
import Devices
import Dispatch
import Foundation
import GuestMemory
import GuestPrograms
import HostSystem
import MachineSpecification
import Synchronization
import TestSupport
import VMM

/// Writers of all kinds, each in pages of its own of two huge pages, that look before each write
/// whether their last one is still there; and one who puts the huge pages together and has them
/// taken apart again, all the time.
///
/// Writers 0 and 1 are vCPUs (`trim.S`), 2 is a device of this process, 3 the kernel, which writes
/// by the address of the mapping what read(2) brings. Three quarters of both huge pages are
/// nobody's and zero, and half of the rest is at most times.
final class TrimStorm: Sendable {
  /// What takes memory away.
  enum Way {
    case trimmer
    /// Reads a page, and if it is zero gives it back: whoever writes in between loses it.
    case readThenDiscard
  }

  private static let memoryByteCount: UInt64 = 32 << 20
  private static let arena: UInt64 = 16 << 20
  private static let arenaByteCount = 4 << 20
  private static let parameters: UInt64 = 0x20_0000
  private static let passes = parameters + 64
  private static let lost = parameters + 128
  /// Of each writer.
  private static let pageCount = 64
  private static let stride: UInt64 = 0x1_0000
  private static let vcpuCount = 2

  struct Counts: Sendable {
    /// By writer: how often it went through its pages.
    var passes: [UInt64] = [0, 0, 0, 0]
    var lost: [UInt64] = [0, 0, 0, 0]
    var trims = 0
    var splits = 0
    var givenBack: UInt64 = 0
  }

  private let machine: Machine
  private let control = MachineControl()
  private let way: Way
  private let counts = Guarded(Counts())
  private let isOver = Atomic(false)
  private let failure = Mutex<String?>(nil)

  init(_ way: Way, source: WrittenPageSourceKind) throws {
    self.way = way
    var configuration = MachineConfiguration.confined(
      program: unsafe [UInt8](
        UnsafeBufferPointer(start: guest_trim_bytes(), count: guest_trim_byte_count())),
      memoryByteCount: Self.memoryByteCount, vcpuCount: Self.vcpuCount)
    configuration.hyperV = .userspace
    configuration.usesTransparentHugePages = true
    configuration.trackingPolicy = .always
    configuration.writtenPageSource = source
    configuration.allowsTrimming = true
    let control = control
    configuration.portDevices = [
      (PortRange(start: 0xEC, count: 1), SignalPort { _ in control.startSecondaryVCPUs() })
    ]
    machine = try Machine(configuration, control: control)
    try machine.memory.store(Self.arena, at: GPA(Self.parameters))
  }

  /// Runs until so much was done: by everybody so many passes, and so many huge pages taken apart;
  /// or until a write is lost, if that is what is looked for.
  ///
  /// - Returns: what ended it, nil if it went as it should; and what was counted.
  func run(
    passes: UInt64, splits: Int, untilLoss: Bool = false
  ) -> (failure: String?, counts: Counts) {
    let threads = DispatchGroup()
    start(in: threads) { $0.write(2) { try $0.machine.memory.store($2, at: $1) } }
    start(in: threads) { storm in
      var ends: [Int32] = [0, 0]
      guard unsafe pipe(&ends) == 0 else { return storm.fail("no pipe") }
      defer { for end in ends { close(end) } }
      storm.write(3) { [ends] in try $0.writeByKernel($2, at: $1, ends) }
    }
    start(in: threads) { $0.takeAway(passes: passes, splits: splits, untilLoss: untilLoss) }
    let outcome = machine.run()
    isOver.store(true, ordering: .releasing)
    threads.wait()
    var all = counts.withLock { $0 }
    for writer in 0..<Self.vcpuCount {
      all.passes[writer] = guestCount(Self.passes, writer)
      all.lost[writer] = guestCount(Self.lost, writer)
    }
    if let failure = failure.withLock({ $0 }) { return (failure, all) }
    if case .exited(0) = outcome { return (nil, all) }
    return ("\(outcome)", all)
  }

  private func start(in threads: DispatchGroup, _ body: @escaping @Sendable (TrimStorm) -> Void) {
    threads.enter()
    Thread.detachNewThread { [self] in
      body(self)
      threads.leave()
    }
  }

  private func guestCount(_ address: UInt64, _ vcpu: Int) -> UInt64 {
    (try? machine.memory.load(at: GPA(address + UInt64(vcpu) * 8))) ?? 0
  }

  private func fail(_ text: String) {
    failure.withLock { $0 = $0 ?? text }
    end()
  }

  private func end() {
    isOver.store(true, ordering: .releasing)
    control.end(with: .exited(status: 0))
  }

  // MARK: Writers

  /// As the guest does it.
  private func write(
    _ writer: Int, _ store: (TrimStorm, GPA, UInt64) throws -> Void
  ) {
    do {
      var (last, number): (UInt64, UInt64) = (0, 0)
      while !isOver.load(ordering: .acquiring) {
        if last == 0 { number += 1 }
        let next = last == 0 ? number : 0
        var lost: UInt64 = 0
        for page in 0..<Self.pageCount {
          let address = GPA(
            Self.arena + UInt64(page) * Self.stride + UInt64(writer) * 4096)
          let found: UInt64 = try machine.memory.load(at: address)
          if found != last { lost += 1 }
          try store(self, address, next)
        }
        last = next
        counts.withLock { counts in
          counts.passes[writer] += 1
          counts.lost[writer] += lost
        }
      }
    } catch {
      fail("\(error)")
    }
  }

  /// read(2) to the mapping, as the kernel writes for others.
  private func writeByKernel(_ value: UInt64, at address: GPA, _ ends: [Int32]) throws {
    var value = value
    let host = machine.memory.mappedRegions[0].hostAddress + UInt(address.rawValue)
    // SAFETY: 8 bytes of guest memory, which lives as long as the machine.
    let isWritten = unsafe Glibc.write(ends[1], &value, 8) == 8
    let isRead = unsafe read(ends[0], UnsafeMutableRawPointer(bitPattern: host), 8) == 8
    guard isWritten, isRead else { throw CocoaError(.fileWriteUnknown) }
  }

  // MARK: Taking away

  private func takeAway(passes: UInt64, splits: Int, untilLoss: Bool) {
    let base = machine.memory.mappedRegions[0].hostAddress + UInt(Self.arena)
    // Far more than are needed: it ends also where nothing comes of anything.
    for _ in 0..<200_000 where !isOver.load(ordering: .acquiring) {
      switch way {
      case .trimmer:
        // MADV_COLLAPSE is 25.
        for advice in [MADV_HUGEPAGE, 25] {
          // SAFETY: guest memory, whose bytes stay.
          _ = unsafe madvise(
            UnsafeMutableRawPointer(bitPattern: base), Self.arenaByteCount, advice)
        }
        guard
          let outcome = machine.trim(.init(readByteCount: .max, milliseconds: 1_000_000))
        else { return fail("the machine has no trimmer") }
        counts.withLock { counts in
          counts.trims += 1
          counts.splits += outcome.splitCount
          counts.givenBack += outcome.givenBackByteCount
        }
      case .readThenDiscard: discardZeroPages(base)
      }
      var all = counts.withLock { $0 }
      for writer in 0..<Self.vcpuCount {
        all.passes[writer] = guestCount(Self.passes, writer)
        all.lost[writer] = guestCount(Self.lost, writer)
      }
      let isLost = all.lost.contains { $0 > 0 }
      if isLost || !untilLoss && all.splits >= splits && all.passes.allSatisfy({ $0 >= passes }) {
        return end()
      }
    }
    if !isOver.load(ordering: .acquiring) { fail("too little came of it") }
  }

  private func discardZeroPages(_ base: UInt) {
    for offset in Swift.stride(from: 0, to: Self.arenaByteCount, by: 4096) {
      // SAFETY: a page of guest memory.
      let page = unsafe UnsafeMutableRawPointer(bitPattern: base + UInt(offset))!
      guard unsafe page.load(as: UInt64.self) == 0 else { continue }
      // SAFETY: as above; that bytes may go is what is tried.
      _ = unsafe madvise(page, 4096, MADV_DONTNEED)
      counts.withLock { $0.trims += 1 }
    }
  }
}
