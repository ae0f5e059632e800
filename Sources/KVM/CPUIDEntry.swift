internal import CKVM

/// One row of a CPUID table, as KVM_SET_CPUID2 takes it.
public struct CPUIDEntry: Hashable, Sendable {
  /// The leaf (EAX in).
  public var function: UInt32
  /// The sub-leaf (ECX in); counts only if `hasIndex`.
  public var index: UInt32
  /// KVM_CPUID_FLAG_SIGNIFCANT_INDEX: the row is for this `index` alone.
  public var hasIndex: Bool
  /// EAX out.
  public var eax: UInt32
  /// EBX out.
  public var ebx: UInt32
  /// ECX out.
  public var ecx: UInt32
  /// EDX out.
  public var edx: UInt32

  /// A row; without an index it answers every sub-leaf.
  public init(
    function: UInt32, index: UInt32? = nil, eax: UInt32, ebx: UInt32, ecx: UInt32, edx: UInt32
  ) {
    self.function = function
    self.index = index ?? 0
    hasIndex = index != nil
    self.eax = eax
    self.ebx = ebx
    self.ecx = ecx
    self.edx = edx
  }

  init(_ raw: kvm_cpuid_entry2) {
    self.init(
      function: raw.function,
      index: raw.flags & CKVM_CPUID_FLAG_SIGNIFICANT_INDEX != 0 ? raw.index : nil,
      eax: raw.eax, ebx: raw.ebx, ecx: raw.ecx, edx: raw.edx)
  }

  /// What the CPUID instruction gives this process. All zero for a leaf past the
  /// last one of its range.
  public init(ofHost function: UInt32, index: UInt32 = 0) {
    var raw = kvm_cpuid_entry2()
    // SAFETY: the instruction's results go into the struct, which is this function's.
    // The last leaf of the range, in EAX of its first one.
    unsafe ckvm_host_cpuid(function & 0xFFFF_0000, 0, &raw)
    let isThere = function <= raw.eax
    raw = kvm_cpuid_entry2()
    if isThere { unsafe ckvm_host_cpuid(function, index, &raw) }
    self.init(function: function, eax: raw.eax, ebx: raw.ebx, ecx: raw.ecx, edx: raw.edx)
  }

  var raw: kvm_cpuid_entry2 {
    var raw = kvm_cpuid_entry2()
    raw.function = function
    raw.index = index
    raw.flags = hasIndex ? CKVM_CPUID_FLAG_SIGNIFICANT_INDEX : 0
    raw.eax = eax
    raw.ebx = ebx
    raw.ecx = ecx
    raw.edx = edx
    return raw
  }
}
