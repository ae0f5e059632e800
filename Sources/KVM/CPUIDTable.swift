internal import CKVM
internal import Glibc
internal import HostSystem

/// The variable-length `kvm_cpuid2` of the kernel's interface: a header and its entries.
enum CPUIDTable {
  /// KVM_MAX_CPUID_ENTRIES; the kernel takes and gives no more.
  static let maximumEntryCount = 256

  /// Reads a whole table by one of the requests that fill a `kvm_cpuid2`.
  static func read(
    from descriptor: borrowing FileDescriptor, request: UInt, _ operation: String
  ) throws(KVMError) -> [CPUIDEntry] {
    let buffer = unsafe allocate(entryCount: maximumEntryCount)
    defer { unsafe buffer.deallocate() }
    try unsafe descriptor.call(request, pointer: buffer, operation)
    // SAFETY: `allocate` made room for the header and 256 entries, and the kernel writes at most
    // the count it was given.
    let table = unsafe buffer.assumingMemoryBound(to: kvm_cpuid2.self)
    let entries = unsafe ckvm_cpuid_entries(table)
    return unsafe (0..<Int(min(table.pointee.nent, UInt32(maximumEntryCount)))).map { index in
      unsafe CPUIDEntry(entries[index])
    }
  }

  /// Gives a whole table to a vCPU.
  static func write(
    _ entries: [CPUIDEntry], to descriptor: borrowing FileDescriptor
  ) throws(KVMError) {
    guard entries.count <= maximumEntryCount else {
      throw .invalidArgument(
        "\(entries.count) CPUID entries: the kernel takes at most \(maximumEntryCount)")
    }
    let buffer = unsafe allocate(entryCount: entries.count)
    defer { unsafe buffer.deallocate() }
    // SAFETY: the buffer holds as many entries as `entries` has.
    let table = unsafe buffer.assumingMemoryBound(to: kvm_cpuid2.self)
    let first = unsafe ckvm_cpuid_entries(table)
    for (index, entry) in entries.enumerated() {
      unsafe first[index] = entry.raw
    }
    try unsafe descriptor.call(
      CKVM_SET_CPUID2, pointer: buffer, "KVM_SET_CPUID2 with \(entries.count) entries",
      cure: "the table names something this processor or KVM does not support")
  }

  private static func allocate(entryCount: Int) -> UnsafeMutableRawPointer {
    let byteCount =
      MemoryLayout<kvm_cpuid2>.stride + entryCount * MemoryLayout<kvm_cpuid_entry2>.stride
    let buffer = UnsafeMutableRawPointer.allocate(
      byteCount: byteCount, alignment: MemoryLayout<UInt64>.alignment)
    unsafe memset(buffer, 0, byteCount)
    unsafe buffer.assumingMemoryBound(to: kvm_cpuid2.self).pointee.nent = UInt32(entryCount)
    return unsafe buffer
  }
}
