import GuestMemory
import KVM
import Testing

@testable import VMM

/// Page tables of every mode, in guest memory without a virtual machine.
@Suite struct GuestPageWalkTests {
  private let guest: GuestMemory

  init() throws {
    guest = try GuestMemory(layout: try GuestMemoryLayout(ramByteCount: 16 << 20))
  }

  private func walk(
    cr0: UInt64 = 0x8000_0001, cr3: UInt64, cr4: UInt64 = 0x20, efer: UInt64 = 0x500
  )
    throws -> GuestPageWalk
  {
    var registers = SystemRegisters.blank
    registers.cr0 = cr0
    registers.cr3 = cr3
    registers.cr4 = cr4
    registers.efer = efer
    return GuestPageWalk(mode: registers.mode)
  }

  private func store(_ entries: [(address: UInt64, value: UInt64)]) throws {
    for (address, value) in entries { try guest.store(value, at: GPA(address)) }
  }

  @Test func withoutPagingLinearIsPhysical() throws {
    #expect(try walk(cr0: 1, cr3: 0).physicalAddress(of: 0x1234, in: guest) == 0x1234)
  }

  @Test func fourLevels() throws {
    try store([(0x1008, 0x2001), (0x2010, 0x3001), (0x3018, 0x4001), (0x4020, 0x9_9001)])
    let linear: UInt64 = 1 << 39 | 2 << 30 | 3 << 21 | 4 << 12 | 0x567
    #expect(try walk(cr3: 0x1000).physicalAddress(of: linear, in: guest) == 0x9_9567)
    #expect(try walk(cr3: 0x1000).physicalAddress(of: linear + 0x1000, in: guest) == nil)
  }

  @Test func fiveLevels() throws {
    try store([
      (0x1028, 0x2001), (0x2008, 0x3001), (0x3010, 0x4001), (0x4018, 0x5001), (0x5020, 0x9_9001),
    ])
    let linear: UInt64 = 5 << 48 | 1 << 39 | 2 << 30 | 3 << 21 | 4 << 12 | 0x567
    let fiveLevels = try walk(cr3: 0x1000, cr4: 0x1020)
    #expect(fiveLevels.physicalAddress(of: linear, in: guest) == 0x9_9567)
    // No entry of the upper two levels is a large page.
    try store([(0x1028, 0x2081), (0x2008, 0x3081)])
    #expect(fiveLevels.physicalAddress(of: linear, in: guest) == 0x9_9567)
  }

  /// The last entry of a table that ends where RAM does, and no byte behind it.
  @Test func aTableAtTheEndOfRAM() throws {
    try store([(0xFF_FFF8, 0xFF_F001)])
    #expect(try walk(cr3: 0xFF_F000).physicalAddress(of: .max, in: guest) == 0xFF_FFFF)
    #expect(try walk(cr3: 0x100_0000).physicalAddress(of: .max, in: guest) == nil)
  }

  @Test func largePages() throws {
    try store([(0x1000, 0x2001), (0x2000, 0x4000_0081), (0x2008, 0x3001), (0x3000, 0x60_0081)])
    #expect(try walk(cr3: 0x1000).physicalAddress(of: 0x12_3456, in: guest) == 0x4012_3456)
    #expect(try walk(cr3: 0x1000).physicalAddress(of: 0x4012_3456, in: guest) == 0x72_3456)
  }

  @Test func threeLevelsOfPAE() throws {
    try store([(0x1028, 0x2001), (0x2008, 0x3001), (0x3008, 0x7_7001), (0x2010, 0x80_0081)])
    let base: UInt64 = 1 << 30
    let pae = try walk(cr3: 0x1020, efer: 0)
    #expect(pae.physicalAddress(of: base | 1 << 21 | 1 << 12 | 5, in: guest) == 0x7_7005)
    #expect(pae.physicalAddress(of: base | 2 << 21 | 0x1_0005, in: guest) == 0x81_0005)
  }

  @Test func twoLevels() throws {
    try guest.store(UInt32(0x2001), at: GPA(0x1004))
    try guest.store(UInt32(0x5_5001), at: GPA(0x2008))
    let legacy = try walk(cr3: 0x1000, cr4: 0, efer: 0)
    #expect(legacy.physicalAddress(of: 1 << 22 | 2 << 12 | 9, in: guest) == 0x5_5009)
  }

  @Test func tablesOutsideRAMTranslateNothing() throws {
    try store([(0x1000, 0x000F_FFFF_FFFF_F001)])
    #expect(try walk(cr3: 0x1000).physicalAddress(of: 0, in: guest) == nil)
    #expect(try walk(cr3: 0x000F_FFFF_FFFF_F000).physicalAddress(of: ~0, in: guest) == nil)
  }

  @Test func aTableThatPointsToItselfEnds() throws {
    try store([(0x1000, 0x1001)])
    #expect(try walk(cr3: 0x1000).physicalAddress(of: 0x18, in: guest) == 0x1018)
  }
}
