import DeviceKit
import Foundation
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import Devices

/// A controller over an image, enabled, with guest memory and an admin queue.
///
/// Its threads, and the one that reads and writes its registers, are under the filters of the
/// program's.
final class TestDisk {
  let memory: GuestMemory
  let controller: NVMeController
  private static let address = PCIAddress(device: 1)
  private let host: PCIHost
  let sink = RecordingSink()
  let line = RecordingLine()
  let admin: DriverQueue
  let vcpu = RoleThread(.vcpu)

  /// - Parameter usesMSIX: all vectors are on, with their number as data.
  init(
    _ store: any BlockStore, pairs: Int = 4, threads: Int = 4, usesMSIX: Bool = true,
    adminCount: Int = 16, history: NVMeHistory = NVMeHistory { 0 }
  ) throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 8 << 20))
    controller = NVMeController(
      store: store, identity: NVMeIdentity(serial: "S-1"), history: history,
      queuePairCount: pairs, threadCount: threads,
      context: PCIContext(
        memory: memory, messages: sink, interruptLine: line,
        onThreadStart: { ThreadFilter.enter(.disk) }))
    host = PCIHost([(Self.address, controller)])
    try controller.start()
    admin = try DriverQueue(0, controller, memory, count: adminCount, vcpu: vcpu)
    configureFunction(usesMSIX: usesMSIX)
    enable(adminCount: adminCount)
  }

  /// Another controller over the same memory, which is to go on where the first one is: as new,
  /// not started, and with configuration registers as the first one has them.
  init(
    insteadOf other: TestDisk, _ store: any BlockStore, pairs: Int = 4, usesMSIX: Bool = true,
    history: NVMeHistory = NVMeHistory { 0 }
  ) {
    memory = other.memory
    controller = NVMeController(
      store: store, identity: NVMeIdentity(serial: "S-1"), history: history,
      queuePairCount: pairs,
      context: PCIContext(
        memory: memory, messages: sink, interruptLine: line,
        onThreadStart: { ThreadFilter.enter(.disk) }))
    host = PCIHost([(Self.address, controller)])
    admin = other.admin
    configureFunction(usesMSIX: usesMSIX)
  }

  /// *Bus Master*, and vectors.
  private func configureFunction(usesMSIX: Bool) {
    configure(0x04, 2, 6)
    guard usesMSIX else { return }
    for vector in 0..<UInt64(controller.endpoint.vectorCount) {
      write(0x2000 + 16 * vector, 0xFEE0_0000, width: 8)
      write(0x2008 + 16 * vector, vector, width: 8)
    }
    configure(0x42, 2, 0x8000)
  }

  func configure(_ offset: Int, _ width: Int, _ value: UInt64) {
    vcpu.run { [host] in
      host.writeConfiguration(Self.address, offset: offset, width: width, value: value)
    }
  }

  func write(_ offset: UInt64, _ value: UInt64, width: Int = 4) {
    vcpu.run { [controller] in
      if !controller.endpoint.writeBAR(0, offset: offset, width: width, value: value) {
        controller.writeBAR(0, offset: offset, width: width, value: value)
      }
    }
  }

  func read(_ offset: UInt64, width: Int = 4) -> UInt64 {
    vcpu.run { [controller] in
      let value =
        controller.endpoint.readBAR(0, offset: offset, width: width)
        ?? controller.readBAR(0, offset: offset, width: width)
      return value & (width == 8 ? .max : 0xFFFF_FFFF)
    }
  }

  func enable(adminCount: Int) {
    write(0x24, UInt64(adminCount - 1) << 16 | UInt64(adminCount - 1))
    write(0x28, admin.submissionStart, width: 8)
    write(0x30, admin.completionStart, width: 8)
    write(0x14, 0x46_0001)
  }

  /// Makes an I/O pair, its completions on the vector of its number or another.
  func makePair(_ number: Int, count: Int = 64, vector: Int? = nil) throws -> DriverQueue {
    let queue = try DriverQueue(number, controller, memory, count: count, vcpu: vcpu)
    let size = UInt32(count - 1) << 16 | UInt32(number)
    #expect(
      try admin.run(
        .admin(
          .createCompletionQueue, prp1: queue.completionStart, size,
          UInt32(vector ?? number) << 16 | 3)
      ).status == .success)
    #expect(
      try admin.run(
        .admin(.createSubmissionQueue, prp1: queue.submissionStart, size, UInt32(number) << 16 | 1)
      ).status == .success)
    return queue
  }
}

extension NVMeCommand {
  static func admin(
    _ opcode: NVMeAdminOpcode, namespace: UInt32 = 0, prp1: UInt64 = 0, prp2: UInt64 = 0,
    _ dword10: UInt32 = 0, _ dword11: UInt32 = 0
  ) -> NVMeCommand {
    var command = NVMeCommand()
    command.opcode = opcode.rawValue
    command.namespace = namespace
    command.prp1 = prp1
    command.prp2 = prp2
    command.dwords[0] = dword10
    command.dwords[1] = dword11
    return command
  }

  /// - Parameter count: sectors, not zero-based.
  static func io(
    _ opcode: NVMeIOOpcode, _ first: UInt64, _ count: Int, prp1: UInt64 = 0x20_0000,
    prp2: UInt64 = 0, namespace: UInt32 = 1, flags: UInt32 = 0
  ) -> NVMeCommand {
    var command = NVMeCommand()
    command.opcode = opcode.rawValue
    command.namespace = namespace
    command.prp1 = prp1
    command.prp2 = prp2
    command.dwords[0] = UInt32(truncatingIfNeeded: first)
    command.dwords[1] = UInt32(first >> 32)
    command.dwords[2] = UInt32(count - 1) | flags
    return command
  }
}

/// Bytes that differ from place to place and from seed to seed.
func pattern(_ byteCount: Int, seed: UInt64) -> [UInt8] {
  var generator = SeededGenerator(seed: seed)
  var bytes: [UInt8] = []
  bytes.reserveCapacity(byteCount + 8)
  while bytes.count < byteCount {
    let word = generator.next()
    for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift))) }
  }
  return Array(bytes.prefix(byteCount))
}
