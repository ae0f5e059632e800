internal import KVM

/// How the guest's processors are arranged: one package of as many cores as vCPUs, one thread each.
/// The APIC ID of a vCPU is its number.
///
/// One package, because client editions of Windows use one or two and no more. Sources: SDM Vol.
/// 2A, CPUID; AMD64 Architecture Programmer's Manual Vol. 3, appendix E.
struct ProcessorTopology {
  let vcpuCount: Int

  /// Bits of an APIC ID that tell a package's cores apart.
  private var coreBitCount: UInt32 {
    vcpuCount <= 1 ? 0 : UInt32(Int.bitWidth - (vcpuCount - 1).leadingZeroBitCount)
  }

  /// As many as the bits can tell apart; what leaves that count "addressable IDs" want.
  private var addressableCount: UInt32 { 1 << coreBitCount }

  /// A vCPU's table: the host's arrangement replaced by this one.
  func applied(to entries: [CPUIDEntry], vcpu id: UInt32) -> [CPUIDEntry] {
    let isAMD = entries.contains { $0.function == 0x8000_001E }
    return entries.flatMap { entry -> [CPUIDEntry] in
      switch entry.function {
      // The host's levels; ours replace the first sub-leaf and the others go.
      case 0xB, 0x1F: entry.index == 0 ? levels(leaf: entry.function, vcpu: id) : []
      default: [applied(to: entry, vcpu: id, isAMD: isAMD)]
      }
    }
  }

  private func applied(to entry: CPUIDEntry, vcpu id: UInt32, isAMD: Bool) -> CPUIDEntry {
    var entry = entry
    switch entry.function {
    case 1:
      // Initial APIC ID, and how many there may be, which counts only with HTT (EDX bit 28).
      entry.ebx = entry.ebx & 0x0000_FFFF | min(addressableCount, 255) << 16 | (id & 0xFF) << 24
      entry.edx.set(bit: 28, to: vcpuCount > 1)
    case 4 where entry.eax & 0x1F != 0:
      // Cores in the package, and processors that share this cache.
      entry.eax = entry.eax & 0x3FFF | sharing(level: entry.eax >> 5 & 7) << 14
      entry.eax |= min(addressableCount - 1, 63) << 26
    case 0x8000_0001 where isAMD:
      // CmpLegacy: leaf 1 counts cores, not threads.
      entry.ecx.set(bit: 1, to: vcpuCount > 1)
    case 0x8000_0008 where isAMD:
      // Cores less one, and the bits of their IDs; bits 31:16 say how the timestamp counter is
      // read.
      entry.ecx = entry.ecx & 0xFFFF_0000 | UInt32(min(vcpuCount, 256) - 1) | coreBitCount << 12
    case 0x8000_001D where entry.eax & 0x1F != 0:
      entry.eax = entry.eax & 0x3FFF | sharing(level: entry.eax >> 5 & 7) << 14
    case 0x8000_001E:
      // APIC ID; core, one thread each; the one node.
      entry.eax = id
      entry.ebx = id & 0xFF
      entry.ecx = 0
    default:
      break
    }
    return entry
  }

  /// How many processors share a cache, less one: the first two levels belong to a core, the third
  /// to the package.
  private func sharing(level: UInt32) -> UInt32 {
    level >= 3 ? min(UInt32(vcpuCount) - 1, 0xFFF) : 0
  }

  /// Leaves 0xB and 0x1F: threads, cores, and the level that ends the list.
  private func levels(leaf: UInt32, vcpu id: UInt32) -> [CPUIDEntry] {
    let thread: UInt32 = 1
    let core: UInt32 = 2
    return [
      CPUIDEntry(function: leaf, index: 0, eax: 0, ebx: 1, ecx: thread << 8, edx: id),
      CPUIDEntry(
        function: leaf, index: 1, eax: coreBitCount, ebx: UInt32(vcpuCount),
        ecx: core << 8 | 1, edx: id),
      CPUIDEntry(function: leaf, index: 2, eax: 0, ebx: 0, ecx: 2, edx: id),
    ]
  }
}

extension UInt32 {
  fileprivate mutating func set(bit: UInt32, to value: Bool) {
    if value { self |= 1 << bit } else { self &= ~(1 << bit) }
  }
}
