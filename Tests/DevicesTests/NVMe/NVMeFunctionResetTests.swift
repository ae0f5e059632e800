import Bytes
import Foundation
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing
import ZeroTracker

@testable import DeviceKit
@testable import Devices

/// A disk's function level reset and its sleep, as a guest brings them about.
@Suite(.timeLimit(.minutes(10))) struct NVMeFunctionResetTests {
  private static let address = PCIAddress(device: 1)
  /// PCI Express begins behind MSI-X and power management.
  private static let deviceControl = 0x5C
  private static let deviceStatus = 0x5E
  private static let power = 0x50

  private let store = FaultyStore(pattern(1 << 20, seed: 4))
  private let vcpu = RoleThread(.vcpu)

  /// The disk as a part of a bus, which is where such resets are seen.
  private func makeHost(_ disk: TestDisk) -> PCIHost {
    PCIHost([(Self.address, disk.controller)])
  }

  private func read(_ host: PCIHost, _ offset: Int, _ width: Int) -> UInt64 {
    vcpu.run {
      host.readConfiguration(Self.address, offset: offset, width: width)
        & (UInt64.max >> UInt64(64 - 8 * width))
    }
  }

  private func write(_ host: PCIHost, _ offset: Int, _ width: Int, _ value: UInt64) {
    vcpu.run {
      host.writeConfiguration(Self.address, offset: offset, width: width, value: value)
    }
  }

  @Test("the capabilities: MSI-X, power management, PCI Express with function level reset")
  func capabilities() throws {
    let host = makeHost(try TestDisk(store))
    var found: [(UInt64, UInt64)] = []
    var next = read(host, 0x34, 1)
    while next != 0, found.count < 10 {
      found.append((next, read(host, Int(next), 1)))
      next = read(host, Int(next) + 1, 1)
    }
    #expect(found.map(\.0) == [0x40, 0x4C, 0x54] && found.map(\.1) == [0x11, 0x01, 0x10])
    #expect(read(host, 0x58, 4) >> 28 & 1 == 1)
  }

  @Test("an idle disk is as new at once; a driver begins anew, and nothing on it changed")
  func idle() throws {
    let history = NVMeHistory { 0 }
    let disk = try TestDisk(store, history: history)
    let host = makeHost(disk)
    let queue = try disk.makePair(1)
    #expect(try queue.run(.io(.read, 0, 1)).status == .success)
    #expect(try queue.run(.io(.read, 1 << 40, 1)).status == .lbaOutOfRange)
    #expect(try disk.admin.run(.admin(.setFeatures, 4, 0x1111)).status == .success)
    write(host, Self.deviceControl, 2, 0x8000)
    #expect(read(host, 0, 4) == 0x0001_564D && read(host, 4, 2) == 0)
    #expect(read(host, 0x42, 2) == 4, "MSI-X is off")
    for offset: UInt64 in [0x14, 0x1C, 0x24] { #expect(disk.read(offset) == 0) }
    for offset: UInt64 in [0x28, 0x30] { #expect(disk.read(offset, width: 8) == 0) }
    for vector: UInt64 in 0...4 {
      #expect(disk.read(0x2000 + 16 * vector, width: 8) == 0)
      #expect(disk.read(0x200C + 16 * vector) == 1, "masked")
    }
    // As a driver does it, without MSI-X this time.
    disk.configure(4, 2, 6)
    let admin = try DriverQueue(0, disk.controller, disk.memory, count: 16)
    disk.enable(adminCount: 16)
    #expect(disk.read(0x1C) == 1)
    #expect(try admin.run(.admin(.getFeatures, 4)).result == 0x0157)
    // What happened before is not forgotten.
    #expect(history.errorLog.loadLE(at: 0, as: UInt64.self) == 1)
    #expect(store.contents == pattern(1 << 20, seed: 4))
  }

  @Test("commands in flight: none completes, and nobody answers until they have left guest memory")
  func inFlight() throws {
    let disk = try TestDisk(store, pairs: 1, threads: 3)
    let host = makeHost(disk)
    let queue = try disk.makePair(1)
    store.stick(true)
    for _ in 0..<10 { try queue.enqueue(.io(.read, 0, 1)) }
    queue.ring()
    store.waitForStuck(3)
    // All three threads are there, so none has yet to signal what `makePair` waited for.
    let interruptCount = disk.sink.messages.count
    #expect(read(host, Self.deviceStatus, 2) & 0x20 != 0, "transactions are pending")
    write(host, Self.deviceControl, 2, 0x8000)
    for _ in 0..<3 {
      #expect(read(host, 0, 4) == 0xFFFF_FFFF)
      write(host, 4, 2, 6)
    }
    // A vCPU that found the BAR before the reset.
    disk.write(0x14, 0x46_0001)
    queue.ring()
    #expect(disk.read(0x1C) == 0)
    store.stick(false)
    while read(host, 0, 4) == 0xFFFF_FFFF { TestThreads.nap(microseconds: 50) }
    #expect(read(host, 0, 4) == 0x0001_564D && read(host, 4, 2) == 0)
    #expect(disk.read(0x14) == 0 && disk.read(0x1C) == 0)
    #expect(disk.controller.engine.state.withLock { $0.inFlightCount } == 0)
    #expect(try queue.poll() == nil && disk.sink.messages.count == interruptCount)
    #expect(store.callCount(.read) == 3, "what was not fetched is forgotten")
    #expect(read(host, Self.deviceStatus, 2) == 0)

    write(host, 4, 2, 6)
    let admin = try DriverQueue(0, disk.controller, disk.memory, count: 16)
    disk.enable(adminCount: 16)
    #expect(try admin.run(.admin(.getFeatures, 7)).status == .success)
  }

  @Test("resets at any time while commands come and go leave nothing behind", arguments: [1, 2])
  func storm(seed: UInt64) throws {
    let disk = try TestDisk(store, pairs: 1, threads: 3, usesMSIX: false)
    let host = makeHost(disk)
    for round in 0..<50 {
      write(host, 4, 2, 6)
      let admin = try DriverQueue(0, disk.controller, disk.memory, count: 16)
      disk.enable(adminCount: 16)
      let queue = try DriverQueue(1, disk.controller, disk.memory, count: 64)
      for opcode in [NVMeAdminOpcode.createCompletionQueue, .createSubmissionQueue] {
        let isCompletion = opcode == .createCompletionQueue
        let start = isCompletion ? queue.completionStart : queue.submissionStart
        let command = NVMeCommand.admin(
          opcode, prp1: start, 63 << 16 | 1, isCompletion ? 3 : 1 << 16 | 1)
        #expect(try admin.run(command).status == .success, "round \(round)")
      }
      for _ in 0..<(round % 40) { try queue.enqueue(.io(.read, 0, 1)) }
      queue.ring()
      TestThreads.nap(microseconds: round * 7 % 100)
      write(host, Self.deviceControl, 2, 0x8000)
      while read(host, 0, 4) == 0xFFFF_FFFF { TestThreads.nap(microseconds: 20) }
      #expect(disk.controller.engine.state.withLock { $0.inFlightCount } == 0)
      #expect(!disk.line.isAsserted, "round \(round)")
    }
  }

  @Test("in D3hot no command is fetched; back in D0 those that wait are")
  func sleep() throws {
    let disk = try TestDisk(store)
    let host = makeHost(disk)
    let queue = try disk.makePair(1)
    write(host, Self.power, 2, 3)
    let identifier = try queue.enqueue(.io(.read, 0, 1))
    queue.ring()
    TestThreads.nap(microseconds: 20_000)
    #expect(store.callCount(.read) == 0)
    write(host, Self.power, 2, 0)
    #expect(try queue.wait().identifier == identifier)
  }
}
