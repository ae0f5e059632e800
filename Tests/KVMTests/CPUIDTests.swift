import Testing

@testable import KVM

@Suite struct CPUIDEntryTests {
  static let entries = [
    CPUIDEntry(function: 0, eax: 1, ebx: 2, ecx: 3, edx: 4),
    CPUIDEntry(function: 7, index: 0, eax: ~0, ebx: 0, ecx: ~0, edx: 0),
    CPUIDEntry(function: 0xD, index: 63, eax: 0, ebx: ~0, ecx: 0, edx: ~0),
  ]

  @Test(arguments: entries)
  func toTheKernelAndBackIsIdentity(entry: CPUIDEntry) {
    #expect(CPUIDEntry(entry.raw) == entry)
  }

  @Test func moreThan256EntriesAreRefusedHere() throws {
    let entry = CPUIDEntry(function: 0, eax: 0, ebx: 0, ecx: 0, edx: 0)
    let vcpu = try BadDescriptor.vcpu()
    #expect(
      throws: KVMError.invalidArgument("257 CPUID entries: the kernel takes at most 256")
    ) { try vcpu.setCPUID(Array(repeating: entry, count: 257)) }
  }
}

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct CPUIDTests {
  /// CPUID; HLT
  static let code: [UInt8] = [0x0F, 0xA2, 0xF4]

  @Test func theSupportedTableIsTaken() throws {
    let table = try KVMSystem().supportedCPUID()
    #expect(table.contains { $0.function == 0 })
    #expect(table.contains { $0.function == 7 && $0.hasIndex })
    #expect(table.allSatisfy { CPUIDEntry($0.raw) == $0 })
    let guest = try TinyGuest(Self.code)
    try guest.vcpu.setCPUID(table)
  }

  @Test func theGuestSeesTheTable() throws {
    var guest = try TinyGuest(Self.code)
    let leaf = CPUIDEntry(
      function: 0x4000_0000, eax: 0x4000_0001, ebx: 0x1111_2222, ecx: 0x3333_4444,
      edx: 0x5555_6666)
    try guest.vcpu.setCPUID(
      KVMSystem().supportedCPUID().filter { $0.function < 0x4000_0000 } + [leaf])
    try guest.restart { $0.rax = 0x4000_0000 }
    #expect(try guest.vcpu.run() == .halt)
    let registers = try guest.vcpu.generalRegisters()
    #expect(registers.rax == 0x4000_0001)
    #expect(registers.rbx == 0x1111_2222)
    #expect(registers.rcx == 0x3333_4444)
    #expect(registers.rdx == 0x5555_6666)
  }

  @Test func subleavesAreKeptApart() throws {
    var guest = try TinyGuest(Self.code)
    let others = try KVMSystem().supportedCPUID().filter { $0.function != 4 }
    let leaves = (0..<2 as Range<UInt32>).map { index in
      CPUIDEntry(function: 4, index: index, eax: 0, ebx: 0, ecx: 0, edx: 0x100 + index)
    }
    try guest.vcpu.setCPUID(others + leaves)
    for index in 0..<2 as Range<UInt64> {
      try guest.restart {
        $0.rax = 4
        $0.rcx = index
      }
      #expect(try guest.vcpu.run() == .halt)
      #expect(try guest.vcpu.generalRegisters().rdx == 0x100 + index)
    }
  }
}
