import Bytes
import Foundation
import GuestMemory
import KVM
import Testing

@testable import VMM

/// What is in guest memory and registers after loading.
@Suite struct LinuxLoadTests {
  private func loaded(_ plan: LinuxBootPlan) throws -> GuestMemory {
    let guest = try GuestMemory(layout: plan.layout)
    try plan.load(into: guest)
    return guest
  }

  private static let acpi: (rsdp: UInt64, range: Range<UInt64>) = (0xE_0000, 0xE_0000..<0x10_0000)

  @Test func bootParameters() throws {
    let plan = try makePlan(
      initrd: [7, 8, 9], commandLine: "console=ttyS0", memory: 8 << 30, acpi: Self.acpi)
    let guest = try loaded(plan)
    let page = try guest.read(at: GPA(0x7000), byteCount: 4096)
    let fields: [(offset: Int, byteCount: Int, value: UInt64)] = [
      (0x070, 8, 0xE_0000), (0x1E8, 1, 6), (0x1EF, 1, 0), (0x1F1, 1, 1), (0x1FA, 2, 0xFFFF),
      (0x1FE, 2, 0xAA55), (0x202, 4, 0x5372_6448), (0x206, 2, 0x20F), (0x210, 1, 0xFF),
      (0x211, 1, 1), (0x214, 4, 0x100_0000), (0x218, 4, 0x7FFF_F000), (0x21C, 4, 3),
      (0x228, 4, 0x2_0000), (0x22C, 4, 0x7FFF_FFFF), (0x250, 8, 0), (0x258, 8, 0x100_0000),
      (0x260, 4, 0x20_0000), (0x0C0, 8, 0), (0x2D0, 8, 0), (0x2D8, 8, 0x9_FC00), (0x2E0, 4, 1),
      (0x2E4, 8, 0x9_FC00), (0x2F4, 4, 2), (0x2F8, 8, 0xE_0000), (0x308, 4, 3),
      (0x30C, 8, 0x10_0000), (0x314, 8, 0x7FF0_0000), (0x320, 8, 0xB000_0000),
      (0x334, 8, 0x1_0000_0000), (0x33C, 8, 6 << 30), (0x344, 4, 1),
    ]
    for (offset, byteCount, value) in fields {
      let found = page.loadLE(at: offset, byteCount: byteCount)
      #expect(found == value, "offset 0x\(String(offset, radix: 16))")
    }
    #expect(page[0..<0x070].allSatisfy { $0 == 0 } && page[0x348...].allSatisfy { $0 == 0 })
    #expect(page[0x26C..<0x2D0].allSatisfy { $0 == 0 })

    #expect(try guest.read(at: GPA(0x2_0000), byteCount: 14) == Array("console=ttyS0\0".utf8))
    #expect(try guest.read(at: GPA(0x7FFF_F000), byteCount: 4) == [7, 8, 9, 0])
    let kernel = try guest.read(at: GPA(0x100_0000), byteCount: 0x1001)
    #expect(kernel == Array(SyntheticImages.bzImage()[0x400...]) + [0])
  }

  @Test func withoutInitrdAndACPI() throws {
    let guest = try loaded(makePlan())
    #expect(try guest.load(at: GPA(0x7218), as: UInt64.self) == 0)
    #expect(try guest.load(at: GPA(0x7070), as: UInt64.self) == 0)
  }

  @Test func startInformation() throws {
    let plan = try makePlan(
      SyntheticImages.elf(), initrd: [7, 8, 9], commandLine: "quiet", acpi: Self.acpi)
    let guest = try loaded(plan)
    let info = try guest.read(at: GPA(0x2000), byteCount: 4096)
    let fields: [(offset: Int, byteCount: Int, value: UInt64)] = [
      (0, 4, 0x336E_C578), (4, 4, 1), (8, 4, 0), (12, 4, 1), (16, 8, 0x2040), (24, 8, 0x2_0000),
      (32, 8, 0xE_0000), (40, 8, 0x2060), (48, 4, 5), (52, 4, 0), (0x40, 8, 0x3FF_F000),
      (0x48, 8, 3), (0x50, 8, 0), (0x60, 8, 0), (0x68, 8, 0x9_FC00), (0x70, 4, 1),
      (0x78, 8, 0x9_FC00), (0x88, 4, 2), (0x90, 8, 0xE_0000), (0xA0, 4, 3),
    ]
    for (offset, byteCount, value) in fields {
      let found = info.loadLE(at: offset, byteCount: byteCount)
      #expect(found == value, "offset 0x\(String(offset, radix: 16))")
    }
    #expect(try guest.read(at: GPA(0x2_0000), byteCount: 6) == Array("quiet\0".utf8))
    let code = try guest.read(at: GPA(0x100_0040), byteCount: 0x101)
    #expect(code == Array(SyntheticImages.elf()[0x200..<0x300]) + [0])
    #expect(try guest.load(at: GPA(0x110_000C), as: UInt64.self) == 0xABAB_ABAB)
  }

  @Test func longModeState() throws {
    let plan = try makePlan()
    let system = plan.systemRegisters(from: .blank)
    #expect(system.cs == .flat(selector: 0x10, type: 0xB, isLong: true))
    for segment in [system.ds, system.es, system.ss] {
      #expect(segment == .flat(selector: 0x18, type: 3))
    }
    #expect(system.cr0 == 0x8000_0031 && system.cr4 == 0x20 && system.efer & 0x500 == 0x500)
    #expect(plan.generalRegisters.rip == 0x100_0200)
    #expect(plan.generalRegisters.rsi == 0x7000)
    #expect(plan.generalRegisters.rflags == 2)
    // The kernel, its parameters and the end of the first 4 GiB are mapped to themselves.
    let guest = try loaded(plan)
    let walk = GuestPageWalk(mode: system.mode)
    for address in [0x7000, 0x2_0000, 0x100_0200, 0xFFFF_FFFF] as [UInt64] {
      #expect(walk.physicalAddress(of: address, in: guest) == address)
    }
  }

  @Test func protectedModeState() throws {
    let plan = try makePlan(SyntheticImages.elf())
    let system = plan.systemRegisters(from: .blank)
    #expect(system.cs == .flat(selector: 0x20, type: 0xB))
    #expect(system.ds == .flat(selector: 0x18, type: 3))
    #expect(system.cr0 == 0x11 && system.cr4 == 0 && system.efer == 0)
    #expect(plan.generalRegisters.rip == SyntheticImages.entry)
    #expect(plan.generalRegisters.rbx == 0x2000)
    #expect(plan.generalRegisters.rflags == 2)
  }

  @Test func filesAreReadLikeBytes() throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("boot-file-\(UUID().uuidString)").path
    for image in [SyntheticImages.bzImage(), SyntheticImages.elf()] {
      try Data(image).write(to: URL(fileURLWithPath: path))
      let file = try BootFile(path: path, role: "kernel")
      let plan = try LinuxBootPlan(
        kernel: file, initrd: file, commandLine: "", layout: layout(64 << 20))
      // The name may go, the file stays open.
      try FileManager.default.removeItem(atPath: path)
      let guest = try loaded(plan)
      let bytes = try loaded(makePlan(image, initrd: image))
      let kernel = plan.kernelAddresses.lowerBound
      #expect(
        try guest.read(at: GPA(kernel), byteCount: 0x100)
          == bytes.read(at: GPA(kernel), byteCount: 0x100))
      let initrd = try #require(plan.initrdAddresses)
      #expect(try guest.read(at: GPA(initrd.lowerBound), byteCount: initrd.count) == image)
    }
  }

  @Test func aFileThatIsTruncatedBeforeLoading() throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("boot-file-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(SyntheticImages.bzImage()).write(to: URL(fileURLWithPath: path))
    let plan = try LinuxBootPlan(
      kernel: BootFile(path: path, role: "kernel"), commandLine: "", layout: layout(64 << 20))
    #expect(unsafe truncate(path, 0x800) == 0)
    #expect(throws: MachineError.self) { try loaded(plan) }
  }
}
