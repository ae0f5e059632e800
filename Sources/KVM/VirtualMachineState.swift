internal import CKVM
internal import HostSystem

/// What a virtual machine has in the kernel beside its vCPUs, as the kernel tells it.
public struct VirtualMachineState: Sendable, Equatable {
  /// KVM_GET_IRQCHIP of both PICs and the I/O APIC; empty without interrupt controllers in the
  /// kernel.
  public var interruptControllers: [[UInt8]] = []
  /// KVM_GET_PIT2; empty without an interval timer in the kernel.
  public var intervalTimer: [UInt8] = []
  /// KVM_GET_CLOCK: nanoseconds that the guest's clocks of KVM and Hyper-V count from.
  public var clockNanoseconds: UInt64 = 0

  /// Nothing.
  public init() {}
}

extension VirtualMachine {
  /// KVM_IRQCHIP_*.
  private static let controllerCount: UInt32 = 3

  /// What is in the kernel now; vCPUs rest.
  public func state(
    hasInterruptControllers: Bool, hasIntervalTimer: Bool
  ) throws(KVMError) -> VirtualMachineState {
    var state = VirtualMachineState()
    if hasInterruptControllers {
      for controller in 0..<Self.controllerCount {
        var chip = kvm_irqchip()
        chip.chip_id = controller
        state.interruptControllers.append(
          try descriptor.readState(chip, CKVM_GET_IRQCHIP, "KVM_GET_IRQCHIP \(controller)"))
      }
    }
    if hasIntervalTimer {
      state.intervalTimer = try descriptor.readState(
        kvm_pit_state2(), CKVM_GET_PIT2, "KVM_GET_PIT2")
    }
    var clock = kvm_clock_data()
    try descriptor.call(CKVM_GET_CLOCK, &clock, "KVM_GET_CLOCK")
    state.clockNanoseconds = clock.clock
    return state
  }

  /// Makes the kernel's part what a state says: after the vCPUs, before devices drive their lines.
  public func setState(_ state: VirtualMachineState) throws(KVMError) {
    for bytes in state.interruptControllers {
      try descriptor.writeState(bytes, kvm_irqchip(), CKVM_SET_IRQCHIP, "KVM_SET_IRQCHIP")
    }
    if !state.intervalTimer.isEmpty {
      try descriptor.writeState(
        state.intervalTimer, kvm_pit_state2(), CKVM_SET_PIT2, "KVM_SET_PIT2")
    }
    var clock = kvm_clock_data()
    clock.clock = state.clockNanoseconds
    try descriptor.call(CKVM_SET_CLOCK, &clock, "KVM_SET_CLOCK")
  }
}

extension FileDescriptor {
  /// A request that fills one of the kernel's structures, as bytes.
  func readState<T>(
    _ empty: T, _ request: UInt, _ operation: @autoclosure () -> String
  ) throws(KVMError) -> [UInt8] {
    var value = empty
    try call(request, &value, operation())
    // SAFETY: the kernel's structures are plain memory, zeroed where it fills nothing.
    return unsafe withUnsafeBytes(of: &value) { unsafe Array($0) }
  }

  /// A request that takes one of the kernel's structures.
  ///
  /// - Throws: `KVMError.invalidArgument` for bytes of another length.
  func writeState<T>(
    _ bytes: [UInt8], _ empty: T, _ request: UInt, _ operation: @autoclosure () -> String
  ) throws(KVMError) {
    guard bytes.count == MemoryLayout<T>.size else {
      throw .invalidArgument(
        "\(operation()): \(bytes.count) bytes in place of \(MemoryLayout<T>.size)")
    }
    var value = empty
    // SAFETY: as many bytes as the structure has, and every pattern of them is one of its values.
    unsafe withUnsafeMutableBytes(of: &value) { unsafe $0.copyBytes(from: bytes) }
    try call(
      request, &value, operation(), cure: "the kernel refuses what was saved, or is another one")
  }
}
