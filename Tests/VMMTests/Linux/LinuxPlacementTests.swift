import Bytes
import DeviceKit
import GuestMemory
import Testing

@testable import VMM

/// Where kernels and initrds go, and what is said when they do not fit.
@Suite struct LinuxPlacementTests {
  private static let mebibyte: UInt64 = 1 << 20

  @Test func preferredAddress() throws {
    let plan = try makePlan()
    #expect(plan.kernelAddresses == 0x100_0000..<0x120_0000)
    #expect(plan.entry == GPA(0x100_0200))
    #expect(plan.initrdAddresses == nil)
  }

  @Test func theSmallestMemory() throws {
    #expect(try makePlan(memory: 18 << 20).kernelAddresses.upperBound == 18 << 20)
    for memory in [1 << 20, 3 << 20, 16 << 20, 18 << 20 - 4096] as [UInt64] {
      let text = failure { () throws(MachineError) in try makePlan(memory: memory) }?.description
      #expect(
        text == "the kernel needs 2097152 bytes (init_size) at GPA 0x1000000 (pref_address) or"
          + " above, which the guest's \(memory) bytes of memory do not have free below 2 GiB;"
          + " give the guest at least 18 MiB of memory")
    }
  }

  @Test func aKernelFor3MiB() throws {
    let image = SyntheticImages.bzImage().with(.preferredAddress, 0x10_0000)
      .with(.initByteCount, 0x1000)
    let plan = try makePlan(image, initrd: [1], memory: 3 << 20)
    #expect(plan.kernelAddresses == 0x10_0000..<0x10_1000)
    #expect(plan.initrdAddresses == 0x2F_F000..<0x2F_F001)
  }

  @Test func anotherPlaceOnlyForRelocatableKernels() throws {
    let tables: (UInt64, Range<UInt64>) = (0x110_0000, 0x110_0000..<0x111_0000)
    #expect(try makePlan(acpi: tables).kernelAddresses == 0x120_0000..<0x140_0000)
    let fixed = SyntheticImages.bzImage().with(.relocatable, 0)
    let text = failure { () throws(MachineError) in try makePlan(fixed, acpi: tables) }?.description
    #expect(text?.contains("as it is not relocatable") == true)
    #expect(text?.hasSuffix("; move the ACPI tables") == true)
  }

  @Test func nothingAbove2GiB() throws {
    let high = SyntheticImages.bzImage().with(.preferredAddress, 0x1_0000_0000)
    let text = failure { () throws(MachineError) in try makePlan(high, memory: 8 << 30) }?
      .description
    #expect(text?.hasSuffix("; give a kernel that needs less or is linked lower") == true)
    let large = SyntheticImages.bzImage().with(.initByteCount, 0x8000_0000)
    #expect(failure { () throws(MachineError) in try makePlan(large, memory: 8 << 30) } != nil)
    let extreme = SyntheticImages.bzImage().with(.preferredAddress, 0xFFFF_FFFF_FF00_0000)
    #expect(failure { () throws(MachineError) in try makePlan(extreme, memory: 8 << 30) } != nil)
  }

  /// Memory, initrd_addr_max, bytes, then the first byte.
  @Test(
    arguments: [
      (64 << 20, 0x7FFF_FFFF, 1, 0x3FF_F000), (64 << 20, 0x7FFF_FFFF, 4096, 0x3FF_F000),
      (64 << 20, 0x7FFF_FFFF, 4097, 0x3FF_E000), (2 << 30, 0x7FFF_FFFF, 1, 0x7FFF_F000),
      (2 << 30 + 4096, 0x7FFF_FFFF, 1, 0x7FFF_F000), (8 << 30, 0xFFFF_FFFF, 1, 0x7FFF_F000),
      (8 << 30, 0x37FF_FFFF, 1, 0x37FF_F000), (8 << 30, 0x37FF_FFFE, 1, 0x37FF_E000),
      // Below the kernel, as the limit is inside or below it.
      (64 << 20, 0x100_0FFF, 4096, 0xFF_F000), (64 << 20, 0xFF_FFFF, 4096, 0xFF_F000),
    ] as [(UInt64, UInt64, Int, UInt64)])
  func initrd(memory: UInt64, limit: UInt64, byteCount: Int, start: UInt64) throws {
    let image = SyntheticImages.bzImage().with(.initrdMaximum, limit)
    let plan = try makePlan(
      image, initrd: [UInt8](repeating: 1, count: byteCount), memory: memory)
    #expect(plan.initrdAddresses == start..<(start + UInt64(byteCount)))
  }

  @Test func theLargestInitrd() throws {
    // 32 MiB: 15 below the kernel, 14 above.
    let fits = [UInt8](repeating: 0, count: 15 << 20)
    #expect(
      try makePlan(initrd: fits, memory: 32 << 20).initrdAddresses == 0x10_0000..<0x100_0000)
    let error = failure { () throws(MachineError) in
      try makePlan(initrd: fits + [0], memory: 32 << 20)
    }
    #expect(
      error?.description
        == "initrd test of 15728641 bytes does not fit beside the kernel at GPA"
        + " 0x1000000–0x11fffff in the guest's 33554432 bytes of memory below GPA 0x80000000;"
        + " give the guest at least 34 MiB of memory")
  }

  @Test func anInitrdAboveItsLimitNeedsToBeSmaller() throws {
    let image = SyntheticImages.bzImage().with(.initrdMaximum, 0x10_0FFF)
    #expect(try makePlan(image, initrd: [1]).initrdAddresses == 0x10_0000..<0x10_0001)
    let error = failure { () throws(MachineError) in
      try makePlan(image, initrd: [UInt8](repeating: 0, count: 4097))
    }
    #expect(error?.description.hasSuffix("below GPA 0x101000; give a smaller one") == true)
    #expect(failure { () throws(MachineError) in try makePlan(initrd: []) } != nil)
  }

  @Test func theInitrdAvoidsTheTables() throws {
    let plan = try makePlan(
      initrd: [1], acpi: (0x3FF_0000, 0x3FF_0000..<0x400_0000))
    #expect(plan.initrdAddresses?.lowerBound == 0x3FE_F000)
  }

  @Test func commandLines() throws {
    _ = try makePlan(commandLine: String(repeating: "a", count: 0x7FF))
    #expect(
      failure { () throws(MachineError) in
        try makePlan(commandLine: String(repeating: "a", count: 0x800))
      }?.description == "the command line has 2048 bytes, the kernel takes 2047; shorten it")
    #expect(failure { () throws(MachineError) in try makePlan(commandLine: "a\0b") } != nil)
    let endless = SyntheticImages.bzImage().with(.commandLineByteCount, 0xFFFF_FFFF)
    _ = try makePlan(endless, commandLine: String(repeating: "é", count: 0x7FFF))
    #expect(
      failure { () throws(MachineError) in
        try makePlan(endless, commandLine: String(repeating: "é", count: 0x8000))
      } != nil)
  }

  @Test func misplacedACPI() {
    for acpi in [
      (0x2000, 0x2000..<0x3000), (0x500_0000, 0xE_0000..<0xF_0000), (~0, 0xE_0000..<0xF_0000),
    ]
      as [(UInt64, Range<UInt64>)]
    {
      #expect(failure { () throws(MachineError) in try makePlan(acpi: acpi) } != nil)
    }
  }

  @Test func segments() throws {
    let plan = try makePlan(SyntheticImages.elf(), initrd: [1])
    #expect(plan.kernelAddresses == 0x100_0040..<0x110_0010)
    #expect(plan.entry == GPA(SyntheticImages.entry))
    #expect(plan.initrdAddresses?.lowerBound == 0x3FF_F000)
    let small = failure { () throws(MachineError) in
      try makePlan(SyntheticImages.elf(), memory: 17 << 20)
    }
    #expect(small?.description.hasSuffix("give the guest at least 18 MiB of memory") == true)
    var hole = SyntheticImages.elf()
    hole.storeLE(UInt64(0x7FFF_FFF8), at: SyntheticImages.programHeader(1) + 24)
    let error = failure { () throws(MachineError) in try makePlan(hole, memory: 8 << 30) }
    #expect(error?.description.hasSuffix("linked to lie below 2 GiB") == true)
  }
}
