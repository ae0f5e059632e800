import Bytes
import Foundation
import GuestMemory
import HostSystem
import Sandbox
import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

/// What a driver finds in a completion queue.
struct Reply: Equatable {
  var identifier: UInt16
  /// Without *More*.
  var status: NVMeStatus
  /// *More*: there is an entry in the error log.
  var hasMore: Bool
  var result: UInt32
  var submissionHead: UInt16
  var submissionQueue: UInt16
}

/// One queue pair as a driver sees it; used by one thread.
final class DriverQueue {
  struct Silent: Error {}

  let number: Int
  let submissionStart: UInt64
  let completionStart: UInt64
  /// Another one goes on in its place after a restore.
  var controller: NVMeController
  private let memory: GuestMemory
  private let vcpu: RoleThread
  private let count: Int
  private var tail = 0
  private var head = 0
  private var phase: UInt32 = 1
  private var nextIdentifier: UInt16 = 0
  /// The pages of shadow doorbells; nil for registers only.
  var shadow: ShadowPages?
  /// Values as they were written last, tail and head.
  private var written = [0, 0]
  /// Writes of the tail's and of the head's register.
  private(set) var registerWriteCounts = [0, 0]

  /// - Parameter vcpu: the thread that writes doorbells.
  init(
    _ number: Int, _ controller: NVMeController, _ memory: GuestMemory, count: Int,
    vcpu: RoleThread = RoleThread(.vcpu)
  ) throws {
    self.number = number
    self.vcpu = vcpu
    self.controller = controller
    self.memory = memory
    self.count = count
    submissionStart = 0x2_0000 + UInt64(number) * 0x1_0000
    completionStart = 0x10_0000 + UInt64(number) * 0x4000
    try memory.fill(at: GPA(completionStart), byteCount: count * 16, with: 0)
  }

  /// Puts a command into the ring, without the doorbell.
  @discardableResult
  func enqueue(_ command: NVMeCommand) throws -> UInt16 {
    var command = command
    command.identifier = nextIdentifier
    nextIdentifier &+= 1
    try memory.write(command.bytes, at: GPA(submissionStart + UInt64(tail * 64)))
    tail = (tail + 1) % count
    return command.identifier
  }

  func ring() {
    update(0, tail)
  }

  /// Writes a doorbell as a driver does: with shadow doorbells the register only if it is asked to.
  private func update(_ kind: Int, _ value: Int) {
    let old = written[kind]
    written[kind] = value
    if let shadow, !shadow.update(2 * number + kind, from: old, to: value, memory) { return }
    registerWriteCounts[kind] += 1
    doorbell(2 * number + kind, UInt64(value))
  }

  func doorbell(_ index: Int, _ value: UInt64) {
    vcpu.run { [controller] in
      controller.writeBAR(0, offset: 0x1000 + 4 * UInt64(index), width: 4, value: value)
    }
  }

  /// The next completion, if there is one; it stays until `acknowledge`.
  func poll() throws -> Reply? {
    let bytes = try memory.read(at: GPA(completionStart + UInt64(head * 16)), byteCount: 16)
    let last: UInt32 = bytes.loadLE(at: 12)
    guard last >> 16 & 1 == phase else { return nil }
    head = (head + 1) % count
    if head == 0 { phase ^= 1 }
    let status = UInt16(last >> 17)
    return Reply(
      identifier: UInt16(last & 0xFFFF), status: NVMeStatus(rawValue: status & ~NVMeStatus.more),
      hasMore: status & NVMeStatus.more != 0,
      result: bytes.loadLE(at: 0), submissionHead: bytes.loadLE(at: 8),
      submissionQueue: bytes.loadLE(at: 10))
  }

  func acknowledge() {
    update(1, head)
  }

  /// Waits for the next completion and takes it.
  func wait() throws -> Reply {
    let deadline = ContinuousClock.now + .seconds(300)
    while ContinuousClock.now < deadline {
      if let reply = try poll() {
        acknowledge()
        return reply
      }
      TestThreads.nap(microseconds: 50)
    }
    throw Silent()
  }

  /// Submits one command and waits for it.
  @discardableResult
  func run(_ command: NVMeCommand) throws -> Reply {
    let identifier = try enqueue(command)
    ring()
    let reply = try wait()
    #expect(reply.identifier == identifier && reply.submissionQueue == UInt16(number))
    #expect(reply.hasMore == (reply.status != .success))
    return reply
  }
}
