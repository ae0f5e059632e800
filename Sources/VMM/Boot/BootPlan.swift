public import GuestMemory
internal import ZeroTracker

/// Where a flat 64-bit program and what it needs to start lie in guest memory.
///
/// | GPA | what |
/// | --- | --- |
/// | 0x1000 | global descriptor table |
/// | 0x2000 | boot information (`BootInformation`) |
/// | 0x10000 or 0x400000 | page tables: low if they fit below 0x80000 |
/// | 0xF0000–0xFFFFF | stacks, 16 KiB a vCPU, the first vCPU's at the top: four have room |
/// | 0x100000 | the program |
public struct BootPlan: Sendable {
  /// Where a program is loaded and entered.
  public static let programAddress = GPA(0x10_0000)
  static let descriptorTableAddress = GPA(0x1000)
  static let informationAddress = GPA(0x2000)
  static let stacksStart = GPA(0xF_0000)
  static let stackByteCount: UInt64 = 0x4000

  let program: [UInt8]
  let vcpuCount: Int
  let tables: IdentityMap
  /// RAM that the loader and the program's start use, ascending.
  let rangesInUse: [PageRange]
  let information: BootInformation

  /// Plans, and checks that everything fits.
  init(program: [UInt8], layout: GuestMemoryLayout, vcpuCount: Int) throws(MachineError) {
    guard !program.isEmpty else { throw .configuration("the program is empty") }
    guard layout.contains(Self.programAddress, byteCount: program.count) else {
      throw .configuration(
        "the program's \(program.count) bytes at GPA \(Self.programAddress) do not fit in"
          + " \(layout.ramByteCount) bytes of guest memory; give it more memory")
    }
    self.program = program
    self.vcpuCount = vcpuCount
    // With what may be added: a program has no tables of its own.
    let end = layout.end
    let low = IdentityMap(at: GPA(0x1_0000), covering: end)
    let programPages = PageRange(
      start: Self.programAddress.page, pageCount: UInt64((program.count + 4095) / 4096))
    if low.end <= GPA(0x8_0000) {
      tables = low
    } else {
      tables = IdentityMap(at: GPA(0x40_0000), covering: end)
      guard layout.contains(tables.start, byteCount: tables.byteCount),
        programPages.end <= tables.start.page
      else {
        throw .configuration("page tables for \(layout.ramByteCount) bytes do not fit")
      }
    }
    rangesInUse = [
      PageRange(start: Self.descriptorTableAddress.page, pageCount: 2),
      PageRange(start: tables.start.page, pageCount: UInt64(tables.byteCount / 4096)),
      PageRange(start: Self.stacksStart.page, pageCount: 16),
      programPages,
    ].sorted { $0.start < $1.start }
    information = try BootInformation(
      regions: layout.regions.map(\.pages), inUse: rangesInUse, vcpuCount: vcpuCount)
  }

  /// Writes it all; every byte is marked as touched by the VMM.
  func load(into guest: GuestMemory) throws(MachineError) {
    try memory { () throws(GuestMemoryError) in
      try guest.write(LongMode.descriptorTable, at: Self.descriptorTableAddress)
      try guest.write(information.encoded, at: Self.informationAddress)
      try guest.write(program, at: Self.programAddress)
      try tables.write(to: guest)
    }
  }

  /// Where vCPU `index`'s stack begins, growing down.
  static func stackTop(vcpu index: Int) -> UInt64 {
    programAddress.rawValue - UInt64(index) * stackByteCount
  }
}
