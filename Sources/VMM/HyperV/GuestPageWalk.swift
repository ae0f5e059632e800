internal import GuestMemory
internal import KVM

/// Translates a guest's linear address by its page tables, without a system call.
///
/// For the one question "does RIP lie in the hypercall page", where KVM_TRANSLATE would cost an
/// ioctl on every hypercall. Tables are the guest's and may change or be nonsense: the walk is
/// bounded, reads RAM only, and answers nil for whatever does not translate. Permissions are not
/// looked at, as the processor has just executed there. Source: SDM Vol. 3A §4.3–4.5.
///
/// The memory comes with each call: a value that holds it would be one more reference to count.
struct GuestPageWalk {
  let mode: ProcessorMode

  private static let addressMask: UInt64 = 0x000F_FFFF_FFFF_F000

  func physicalAddress(of linear: UInt64, in guest: GuestMemory) -> UInt64? {
    let isPaged = mode.cr0 & (1 << 31) != 0
    let isPAE = mode.cr4 & (1 << 5) != 0
    if !isPaged { return linear & 0xFFFF_FFFF }
    if mode.isLongModeActive {
      return walk(linear, in: guest, rootShift: mode.cr4 & (1 << 12) != 0 ? 48 : 39)
    }
    return isPAE
      ? walkPAE(linear & 0xFFFF_FFFF, in: guest) : walkLegacy(linear & 0xFFFF_FFFF, in: guest)
  }

  /// Four and five levels of 512 entries; large pages of 2 MiB and 1 GiB.
  ///
  /// Inlined always: it has one caller, which would copy the mode for it.
  ///
  /// - Parameter rootShift: the lowest bit of the index into the first table: 39, or 48 for five
  ///   levels.
  @inline(__always)
  private func walk(_ linear: UInt64, in guest: GuestMemory, rootShift: UInt64) -> UInt64? {
    var table = mode.cr3 & Self.addressMask
    var shift = rootShift
    while true {
      // A table's address has no bits where the index goes.
      let address = table | (linear &>> shift & 511) &<< 3
      guard let entry = guest.word(at: GPA(address)), entry & 1 != 0 else { return nil }
      if shift == 12 || (shift <= 30 && entry & 0x80 != 0) {
        let offsetMask = (UInt64(1) &<< shift) &- 1
        return entry & Self.addressMask & ~offsetMask | linear & offsetMask
      }
      table = entry & Self.addressMask
      shift &-= 9
    }
  }

  /// Three levels, the first of 4 entries at a 32-byte boundary.
  private func walkPAE(_ linear: UInt64, in guest: GuestMemory) -> UInt64? {
    let root = mode.cr3 & 0xFFFF_FFE0
    guard let pointer: UInt64 = entry(linear >> 30, of: root, in: guest) else { return nil }
    var table = pointer & Self.addressMask
    guard let directory: UInt64 = entry(linear >> 21 & 511, of: table, in: guest)
    else { return nil }
    if directory & 0x80 != 0 {
      return directory & Self.addressMask & ~0x1F_FFFF | linear & 0x1F_FFFF
    }
    table = directory & Self.addressMask
    guard let page: UInt64 = entry(linear >> 12 & 511, of: table, in: guest) else { return nil }
    return page & Self.addressMask | linear & 0xFFF
  }

  /// Two levels of 1024 32-bit entries; large pages of 4 MiB, with PSE-36's upper address bits.
  private func walkLegacy(_ linear: UInt64, in guest: GuestMemory) -> UInt64? {
    let root = mode.cr3 & 0xFFFF_F000
    guard let directory: UInt32 = entry(linear >> 22, of: root, in: guest) else { return nil }
    if directory & 0x80 != 0, mode.cr4 & (1 << 4) != 0 {
      let upper = UInt64(directory >> 13 & 0xFF) << 32
      return upper | UInt64(directory & 0xFFC0_0000) | linear & 0x3F_FFFF
    }
    let table = UInt64(directory & 0xFFFF_F000)
    guard let page: UInt32 = entry(linear >> 12 & 1023, of: table, in: guest) else { return nil }
    return UInt64(page & 0xFFFF_F000) | linear & 0xFFF
  }

  /// The entry, if it is in RAM and present.
  private func entry<Entry: FixedWidthInteger & BitwiseCopyable>(
    _ index: UInt64, of table: UInt64, in guest: GuestMemory
  ) -> Entry? {
    let address = GPA(table).advanced(by: index * UInt64(MemoryLayout<Entry>.size))
    guard let address, let entry = try? guest.load(at: address, as: Entry.self), entry & 1 != 0
    else { return nil }
    return entry
  }
}
