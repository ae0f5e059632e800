import GuestMemory
import KVM
import Testing

@testable import VMM

/// Enters the synthetic kernels on a real vCPU.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct LinuxEntryTests {
  /// Runs the boot CPU until it writes a port; returns what EAX was.
  private func run(_ image: [UInt8]) throws -> UInt64 {
    let plan = try makePlan(image)
    let guest = try GuestMemory(layout: plan.layout)
    try plan.load(into: guest)
    let system = try KVMSystem()
    let machine = try system.makeVirtualMachine()
    try machine.setReservedPages(
      identityMapAddress: 0xFEFF_C000, taskStateAddress: 0xFEFF_D000)
    for (index, region) in guest.mappedRegions.enumerated() {
      let slot = MemorySlot(
        number: UInt32(index), guestPhysicalAddress: region.start.rawValue,
        byteCount: region.byteCount, hostAddress: region.hostAddress)
      try machine.setMemorySlot(slot, options: [])
    }
    var vcpu = try machine.makeVCPU(id: 0)
    // A KVM with hardware virtualisation refuses long mode to a processor that does not have it.
    try vcpu.setCPUID(system.supportedCPUID())
    try plan.enter(vcpu: vcpu)
    let exit = try vcpu.run()
    guard case .portOut(let access) = exit else {
      Issue.record("\(exit)")
      return 0
    }
    #expect(access.port == 0x80)
    return try vcpu.generalRegisters().rax
  }

  @Test func bzImage() throws {
    // mov eax, [rsi + 0x202]; mov cx, 0x18; mov ss, cx (from the table); out 0x80, al
    let code: [UInt8] = [
      0x8B, 0x86, 0x02, 0x02, 0, 0, 0x66, 0xB9, 0x18, 0, 0x8E, 0xD1, 0xE6, 0x80,
    ]
    #expect(try run(SyntheticImages.bzImage(code: code)) == BzImage.magic)
  }

  @Test func pvh() throws {
    // mov eax, [ebx]; mov cx, 0x18; mov ss, cx (from the table); out 0x80, al
    let code: [UInt8] = [0x8B, 0x03, 0x66, 0xB9, 0x18, 0, 0x8E, 0xD1, 0xE6, 0x80]
    #expect(try run(SyntheticImages.elf(code: code)) == UInt64(PVHStartInfo.magic))
  }
}
