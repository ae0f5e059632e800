import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct MemorySlotTests {
  let machine: VirtualMachine
  let memory = GuestPages(pageCount: 4)

  init() throws {
    machine = try KVMSystem().makeVirtualMachine()
  }

  private func slot(_ number: UInt32, at address: UInt64, byteCount: UInt64) -> MemorySlot {
    MemorySlot(
      number: number, guestPhysicalAddress: address, byteCount: byteCount,
      hostAddress: memory.address)
  }

  @Test func neighboursAreTaken() throws {
    try machine.setMemorySlot(slot(0, at: 0, byteCount: 8192), options: [])
    try machine.setMemorySlot(slot(1, at: 8192, byteCount: 8192), options: .logsDirtyPages)
  }

  @Test func overlapIsRefused() throws {
    try machine.setMemorySlot(slot(0, at: 0, byteCount: 8192), options: [])
    let error = try #require(throws: KVMError.self) {
      try machine.setMemorySlot(slot(1, at: 4096, byteCount: 8192), options: [])
    }
    #expect(
      "\(error)" == "KVM_SET_USER_MEMORY_REGION slot 1, GPA 0x1000, 8192 bytes:"
        + " File exists (EEXIST); slots may not overlap, and must be whole pages")
  }

  @Test(arguments: [(1, 4096), (0x800, 4096), (0, 4095), (0, 1)] as [(UInt64, UInt64)])
  func piecesOfPagesAreRefused(address: UInt64, byteCount: UInt64) throws {
    let error = try #require(throws: KVMError.self) {
      try machine.setMemorySlot(slot(0, at: address, byteCount: byteCount), options: [])
    }
    #expect("\(error)".contains("Invalid argument (EINVAL); slots may not overlap"))
  }

  @Test func aNumberBeyondTheLimitIsRefused() throws {
    let number = UInt32(machine.value(of: .memorySlots))
    let error = try #require(throws: KVMError.self) {
      try machine.setMemorySlot(slot(number, at: 0, byteCount: 4096), options: [])
    }
    #expect("\(error)".contains("slot \(number), GPA 0x0, 4096 bytes: Invalid argument (EINVAL)"))
  }
}
