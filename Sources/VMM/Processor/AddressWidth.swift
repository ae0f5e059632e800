internal import GuestMemory
internal import KVM

/// How many bits of guest physical addresses a processor has.
struct AddressWidth: Equatable {
  let bitCount: UInt8

  init(bitCount: UInt8) {
    self.bitCount = bitCount
  }

  /// *MAXPHYADDR*: CPUID leaf 0x80000008, EAX bits 7 to 0; 36 without that leaf. Source: Intel SDM
  /// volume 3A, §4.1.4.
  init(_ cpuid: [CPUIDEntry]) {
    let leaf = cpuid.first { $0.function == 0x8000_0008 }
    bitCount = leaf.map { UInt8(truncatingIfNeeded: $0.eax) } ?? 36
  }

  /// The most RAM, given the hole for devices below 4 GiB.
  var maximumRAMByteCount: UInt64 {
    // 52 bits are architecture's limit; a processor of 32 has RAM below the hole only.
    let end: UInt64 = 1 << UInt64(min(bitCount, 52))
    let highStart = GuestMemoryLayout.highStart.rawValue
    return end > highStart
      ? end - highStart + GuestMemoryLayout.lowEnd.rawValue
      : min(end, GuestMemoryLayout.lowEnd.rawValue)
  }

  /// - Throws: `.unavailable` if some of the memory has no address.
  func check(_ layout: GuestMemoryLayout) throws(MachineError) {
    let end: UInt64 = 1 << UInt64(min(bitCount, 52))
    if let growth = layout.growth, growth.end.rawValue > end {
      throw .unavailable(
        what: "memory that grows up to \(growth.end) does not fit into the \(bitCount) bits of a"
          + " physical address that this processor has",
        cure: "give a smaller maximum")
    }
    guard layout.ramByteCount > maximumRAMByteCount else { return }
    throw .unavailable(
      what: "\(layout.ramByteCount >> 20) MiB of memory do not fit into the \(bitCount) bits of a"
        + " physical address that this processor has",
      cure: "give at most \(maximumRAMByteCount >> 20) MiB (\(maximumRAMByteCount >> 30)G)")
  }
}
