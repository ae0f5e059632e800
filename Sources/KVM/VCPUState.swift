internal import CKVM
internal import HostSystem

/// All that a vCPU is between two runs, as the kernel tells it: for a machine that is saved.
///
/// The parts are the kernel's structures as bytes, which another kernel of the same or a newer
/// series takes. Source: KVM API, the KVM_GET_* and KVM_SET_* requests named at each.
public struct VCPUState: Sendable, Equatable {
  /// KVM_GET_REGS.
  public var registers: [UInt8] = []
  /// KVM_GET_SREGS2, or KVM_GET_SREGS where the kernel has no other: the length says which.
  public var systemRegisters: [UInt8] = []
  /// KVM_GET_XSAVE2, or KVM_GET_XSAVE.
  public var extendedState: [UInt8] = []
  /// KVM_GET_XCRS; empty for a processor without XSAVE.
  public var extendedControl: [UInt8] = []
  /// KVM_GET_DEBUGREGS.
  public var debugRegisters: [UInt8] = []
  /// KVM_GET_LAPIC; empty without interrupt controllers in the kernel.
  public var localAPIC: [UInt8] = []
  /// KVM_GET_VCPU_EVENTS.
  public var events: [UInt8] = []
  /// KVM_GET_MP_STATE.
  public var activity = VCPUActivity.runnable
  /// KVM_GET_MSRS: those that could be read, ascending by their index.
  public var msrs: [ModelSpecificRegister] = []
  /// KVM_GET_TSC_KHZ; 0 where KVM does not know it.
  public var tscKilohertz: UInt64 = 0

  /// Nothing.
  public init() {}
}

/// An MSR and its value.
public struct ModelSpecificRegister: Sendable, Hashable {
  public var index: UInt32
  public var value: UInt64

  public init(index: UInt32, value: UInt64) {
    self.index = index
    self.value = value
  }
}

/// What of a vCPU there is to read on this host: asked for once, as a vCPU's thread may not.
public struct VCPUStateParts: Sendable {
  /// Without those that are answered elsewhere.
  public var msrs: [UInt32]
  public let hasLocalAPIC: Bool
  let hasSystemRegisters2: Bool
  let hasExtendedControl: Bool
  /// 0 for a kernel without KVM_GET_XSAVE2.
  let extendedStateByteCount: Int

  /// - Parameter hasLocalAPIC: whether interrupt controllers are in the kernel.
  public init(
    of machine: VirtualMachine, on system: KVMSystem, hasLocalAPIC: Bool
  ) throws(KVMError) {
    msrs = try system.stateMSRs()
    self.hasLocalAPIC = hasLocalAPIC
    hasSystemRegisters2 = machine.value(of: .systemRegisters2) > 0
    hasExtendedControl = machine.value(of: .extendedControl) > 0
    extendedStateByteCount = Int(machine.value(of: .extendedState))
  }
}

extension KVMSystem {
  /// The MSRs that a vCPU's state consists of (KVM_GET_MSR_INDEX_LIST), and those that the kernel
  /// has but does not list.
  public func stateMSRs() throws(KVMError) -> [UInt32] {
    var listed: [UInt32] = []
    // The first call says how many there are.
    for _ in 0..<2 {
      let count = listed.count
      var words = [UInt32](repeating: 0, count: count + 1)
      words[0] = UInt32(count)
      do throws(KVMError) {
        // SAFETY: a count and as many words behind it, as the kernel's structure has it.
        try unsafe words.withUnsafeMutableBufferPointer { (words) throws(KVMError) in
          guard let start = words.baseAddress else { return }
          try unsafe descriptor.call(
            CKVM_GET_MSR_INDEX_LIST, pointer: UnsafeMutableRawPointer(start),
            "KVM_GET_MSR_INDEX_LIST")
        }
      } catch {
        guard case .call(_, let number, _) = error, number.rawValue == Self.tooBig, count == 0
        else { throw error }
      }
      listed = count == 0 ? Array(repeating: 0, count: Int(words[0])) : Array(words.dropFirst())
    }
    let all = Set(listed).union(Self.unlistedMSRs).subtracting(Self.commandMSRs)
    return all.sorted()
  }
  /// E2BIG.
  private static let tooBig: Int32 = 7

  /// Hyper-V's SynIC and timers, of which the kernel lists one each; memory types (MTRR), which it
  /// does not list at all.
  private static let unlistedMSRs: [UInt32] =
    [0x4000_0080, 0x4000_0082, 0x4000_0083] + Array(0x4000_0090...0x4000_009F)
    + Array(0x4000_00B0...0x4000_00B7) + Array(0x200...0x20F) + [0x250, 0x258, 0x259]
    + Array(0x268...0x26F) + [0x2FF]

  /// What does something when it is written, and reads as nothing: Hyper-V's reset and end of
  /// message.
  private static let commandMSRs: [UInt32] = [0x4000_0003, 0x4000_0084]
}

extension VCPU {
  /// IA32_TSC_DEADLINE: armed as the last, when the local APIC is there.
  private static let tscDeadline: UInt32 = 0x6E0

  /// What the vCPU is. On its thread, after `finishPendingExit`.
  ///
  /// MSRs that this vCPU does not have are left out.
  public func state(_ parts: VCPUStateParts) throws(KVMError) -> VCPUState {
    var state = VCPUState()
    // First: with a local APIC in the kernel it takes up what has arrived, as a start-up interrupt.
    state.activity = try activity()
    state.registers = try read(kvm_regs(), CKVM_GET_REGS, "KVM_GET_REGS")
    state.systemRegisters =
      parts.hasSystemRegisters2
      ? try read(kvm_sregs2(), CKVM_GET_SREGS2, "KVM_GET_SREGS2")
      : try read(kvm_sregs(), CKVM_GET_SREGS, "KVM_GET_SREGS")
    state.extendedState = try readExtendedState(parts.extendedStateByteCount)
    if parts.hasExtendedControl {
      state.extendedControl = try read(kvm_xcrs(), CKVM_GET_XCRS, "KVM_GET_XCRS")
    }
    state.debugRegisters = try read(kvm_debugregs(), CKVM_GET_DEBUGREGS, "KVM_GET_DEBUGREGS")
    state.msrs = try readMSRs(parts.msrs)
    if parts.hasLocalAPIC {
      state.localAPIC = try read(kvm_lapic_state(), CKVM_GET_LAPIC, "KVM_GET_LAPIC")
    }
    state.events = try read(kvm_vcpu_events(), CKVM_GET_VCPU_EVENTS, "KVM_GET_VCPU_EVENTS")
    state.tscKilohertz = tscKilohertz() ?? 0
    return state
  }

  /// Makes the vCPU what a state says: before its first run, after its CPUID table.
  ///
  /// - Throws: `KVMError.invalidArgument` for bytes of another length or an MSR that this kernel
  ///   does not take, other errors as the kernel refuses what the bytes say.
  public func setState(_ state: VCPUState) throws(KVMError) {
    if state.tscKilohertz != 0, let now = tscKilohertz(), now != state.tscKilohertz {
      try descriptor.call(
        CKVM_SET_TSC_KHZ, value: UInt(state.tscKilohertz),
        "KVM_SET_TSC_KHZ \(state.tscKilohertz) on vCPU \(id)",
        cure: "it was saved on a processor of another speed, which this one cannot imitate")
    }
    if state.systemRegisters.count == MemoryLayout<kvm_sregs2>.size {
      try write(state.systemRegisters, kvm_sregs2(), CKVM_SET_SREGS2, "KVM_SET_SREGS2")
    } else {
      try write(state.systemRegisters, kvm_sregs(), CKVM_SET_SREGS, "KVM_SET_SREGS")
    }
    try write(state.registers, kvm_regs(), CKVM_SET_REGS, "KVM_SET_REGS")
    if !state.extendedControl.isEmpty {
      try write(state.extendedControl, kvm_xcrs(), CKVM_SET_XCRS, "KVM_SET_XCRS")
    }
    try writeExtendedState(state.extendedState)
    try write(state.debugRegisters, kvm_debugregs(), CKVM_SET_DEBUGREGS, "KVM_SET_DEBUGREGS")
    if !state.localAPIC.isEmpty {
      try write(state.localAPIC, kvm_lapic_state(), CKVM_SET_LAPIC, "KVM_SET_LAPIC")
    }
    try writeMSRs(state.msrs.filter { $0.index != Self.tscDeadline })
    try setActivity(state.activity)
    try write(state.events, kvm_vcpu_events(), CKVM_SET_VCPU_EVENTS, "KVM_SET_VCPU_EVENTS")
    try writeMSRs(state.msrs.filter { $0.index == Self.tscDeadline })
  }

  private func read<T>(
    _ empty: T, _ request: UInt, _ name: String
  ) throws(KVMError) -> [UInt8] {
    try descriptor.readState(empty, request, "\(name) on vCPU \(id)")
  }

  private func write<T>(
    _ bytes: [UInt8], _ empty: T, _ request: UInt, _ name: String
  ) throws(KVMError) {
    try descriptor.writeState(bytes, empty, request, "\(name) on vCPU \(id)")
  }

  private func readExtendedState(_ byteCount: Int) throws(KVMError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: max(byteCount, MemoryLayout<kvm_xsave>.size))
    let isLong = byteCount > 0
    // SAFETY: as many bytes as the kernel says that it writes, at least those of its structure.
    try unsafe bytes.withUnsafeMutableBufferPointer { (bytes) throws(KVMError) in
      guard let start = bytes.baseAddress else { return }
      try unsafe descriptor.call(
        isLong ? CKVM_GET_XSAVE2 : CKVM_GET_XSAVE, pointer: UnsafeMutableRawPointer(start),
        "\(isLong ? "KVM_GET_XSAVE2" : "KVM_GET_XSAVE") on vCPU \(id)")
    }
    return bytes
  }

  private func writeExtendedState(_ bytes: [UInt8]) throws(KVMError) {
    let byteCount = max(Int(machine.value(of: .extendedState)), MemoryLayout<kvm_xsave>.size)
    // A kernel reads as much as it would write; what a smaller state does not have is as at reset.
    guard bytes.count <= byteCount || bytes[byteCount...].allSatisfy({ $0 == 0 }) else {
      throw .invalidArgument(
        "extended state of \(bytes.count) bytes for vCPU \(id), where this processor has"
          + " \(byteCount)")
    }
    var all = Array(bytes.prefix(byteCount))
    all += [UInt8](repeating: 0, count: byteCount - all.count)
    // SAFETY: as many bytes as the kernel says that it reads.
    try unsafe all.withUnsafeMutableBufferPointer { (bytes) throws(KVMError) in
      guard let start = bytes.baseAddress else { return }
      try unsafe descriptor.call(
        CKVM_SET_XSAVE, pointer: UnsafeMutableRawPointer(start), "KVM_SET_XSAVE on vCPU \(id)",
        cure: "it was saved on a processor with more features")
    }
  }

  /// KVM_GET_MSRS reads up to the first that there is not.
  private func readMSRs(_ indices: [UInt32]) throws(KVMError) -> [ModelSpecificRegister] {
    var read: [ModelSpecificRegister] = []
    var left = indices[...]
    while !left.isEmpty {
      let (entries, count) = try exchange(
        left.map { ModelSpecificRegister(index: $0, value: 0) }, CKVM_GET_MSRS, "KVM_GET_MSRS")
      read += entries.prefix(count)
      left = left.dropFirst(count + 1)
    }
    return read
  }

  /// KVM_SET_MSRS writes up to the first that it does not take: one that has its value already, as
  /// those that cannot be written, is passed over.
  private func writeMSRs(_ msrs: [ModelSpecificRegister]) throws(KVMError) {
    var left = msrs[...]
    while !left.isEmpty {
      let (_, count) = try exchange(Array(left), CKVM_SET_MSRS, "KVM_SET_MSRS")
      left = left.dropFirst(count)
      guard let refused = left.popFirst() else { return }
      guard (try? readMSR(refused.index)) == refused.value else {
        throw .invalidArgument(
          "this KVM does not take 0x\(String(refused.value, radix: 16)) for MSR"
            + " 0x\(String(refused.index, radix: 16)) of vCPU \(id); use the kernel and the"
            + " processor that the machine was saved with")
      }
    }
  }

  /// One request with a list of MSRs.
  ///
  /// - Returns: the list after it, and how many of it were done.
  private func exchange(
    _ msrs: [ModelSpecificRegister], _ request: UInt, _ name: String
  ) throws(KVMError) -> ([ModelSpecificRegister], Int) {
    // The kernel takes at most 256 (MAX_IO_MSRS).
    let msrs = Array(msrs.prefix(Self.maximumMSRCount))
    let byteCount = MemoryLayout<kvm_msrs>.size + msrs.count * MemoryLayout<kvm_msr_entry>.stride
    let list = UnsafeMutableRawPointer.allocate(
      byteCount: byteCount, alignment: MemoryLayout<kvm_msr_entry>.alignment)
    defer { unsafe list.deallocate() }
    // SAFETY: room for the header and all entries, zeroed before its use; freed after the call.
    unsafe list.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    let header = unsafe list.assumingMemoryBound(to: kvm_msrs.self)
    unsafe header.pointee.nmsrs = UInt32(msrs.count)
    let entries = unsafe ckvm_msr_entries(header)
    for (index, msr) in msrs.enumerated() {
      unsafe entries[index].index = msr.index
      unsafe entries[index].data = msr.value
    }
    let count = try unsafe descriptor.call(request, pointer: list, "\(name) on vCPU \(id)")
    let after = msrs.indices.map { index in
      unsafe ModelSpecificRegister(index: entries[index].index, value: entries[index].data)
    }
    return (after, min(Int(count), msrs.count))
  }
  private static let maximumMSRCount = 256
}
