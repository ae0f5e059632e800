import GuestMemory
import Synchronization

@testable import Devices

/// Where a driver has its shadow doorbells and what it does with them (NVMe 1.3 §7.13).
struct ShadowPages: Sendable {
  var values: UInt64 = 0x18_0000
  var eventIndices: UInt64 = 0x18_1000

  /// *Doorbell Buffer Config*.
  var command: NVMeCommand {
    .admin(.doorbellBufferConfig, prp1: values, prp2: eventIndices)
  }

  func value(_ doorbell: Int, _ memory: GuestMemory) throws -> UInt32 {
    try memory.load(at: GPA(values + UInt64(4 * doorbell)))
  }

  func eventIndex(_ doorbell: Int, _ memory: GuestMemory) throws -> UInt32 {
    try memory.load(at: GPA(eventIndices + UInt64(4 * doorbell)))
  }

  func setValue(_ value: UInt32, _ doorbell: Int, _ memory: GuestMemory) throws {
    try memory.store(value, at: GPA(values + UInt64(4 * doorbell)))
  }

  /// Writes a value; whether the register is to be written too, because it stepped over the event
  /// index.
  func update(_ doorbell: Int, from old: Int, to new: Int, _ memory: GuestMemory) -> Bool {
    try? setValue(UInt32(new), doorbell, memory)
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard let index = try? eventIndex(doorbell, memory) else { return true }
    let distance = UInt16(truncatingIfNeeded: new - Int(index) - 1)
    return distance < UInt16(truncatingIfNeeded: new - old)
  }
}
