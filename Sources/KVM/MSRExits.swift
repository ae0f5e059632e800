internal import CKVM

/// Why an MSR access left the kernel. Source: KVM API, KVM_CAP_X86_USER_SPACE_MSR.
public struct MSRExitReasons: OptionSet, Hashable, Sendable {
  /// KVM_MSR_EXIT_REASON_* bits.
  public let rawValue: UInt32

  /// Any bits; the kernel refuses those that it does not know.
  public init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// KVM_MSR_EXIT_REASON_INVAL: KVM knows the MSR and would raise #GP for this access.
  public static let invalid = MSRExitReasons(rawValue: 1 << 0)
  /// KVM_MSR_EXIT_REASON_UNKNOWN: KVM does not know the MSR.
  public static let unknown = MSRExitReasons(rawValue: 1 << 1)
  /// KVM_MSR_EXIT_REASON_FILTER: the filter denies it.
  public static let filtered = MSRExitReasons(rawValue: 1 << 2)
}

extension VirtualMachine {
  /// KVM_MSR_FILTER_MAX_BITMAP_SIZE, 0x600 bytes of one bit per MSR.
  static let maximumFilterCount = 0x600 * 8

  /// Sends MSR accesses with one of `reasons` to userspace as `VCPUExit.readMSR` and `.writeMSR`.
  public func sendMSRExits(for reasons: MSRExitReasons) throws(KVMError) {
    try enable(.userSpaceMSR, argument: UInt64(reasons.rawValue))
  }

  /// Denies the guest a range of MSRs, reads and writes, and allows all others.
  ///
  /// Turn on `sendMSRExits(for: .filtered)` first: a denied MSR without it is a #GP. Replaces any
  /// earlier filter. Source: KVM API, KVM_X86_SET_MSR_FILTER.
  public func denyMSRs(_ range: ClosedRange<UInt32>) throws(KVMError) {
    guard range.count <= Self.maximumFilterCount else {
      throw .invalidArgument(
        "filter of \(range.count) MSRs: the kernel takes at most \(Self.maximumFilterCount)")
    }
    let count = UInt32(range.count)
    // One zero bit denies; the kernel reads whole bytes.
    var bitmap = [UInt8](repeating: 0, count: (Int(count) + 7) / 8)
    // SAFETY: the kernel copies `count` bits during the call; the pointer does not outlive it.
    try unsafe bitmap.withUnsafeMutableBufferPointer { (bytes) throws(KVMError) in
      var filter = kvm_msr_filter()
      unsafe filter.ranges.0.flags = CKVM_MSR_FILTER_ACCESS
      unsafe filter.ranges.0.base = range.lowerBound
      unsafe filter.ranges.0.nmsrs = count
      unsafe filter.ranges.0.bitmap = bytes.baseAddress
      try descriptor.call(
        CKVM_X86_SET_MSR_FILTER, &filter,
        "KVM_X86_SET_MSR_FILTER 0x\(String(range.lowerBound, radix: 16)), \(count) MSRs",
        cure: KVMCapability.msrFilter.cure)
    }
  }
}
