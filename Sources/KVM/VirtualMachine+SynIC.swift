internal import CKVM
internal import HostSystem

/// Where a global system interrupt goes: a synthetic interrupt source of a processor's SynIC.
///
/// Source: KVM API, KVM_SET_GSI_ROUTING, KVM_IRQ_ROUTING_HV_SINT.
public struct SyntheticInterruptRoute: Hashable, Sendable {
  /// The global system interrupt (GSI).
  public let interrupt: UInt32
  /// The VP index.
  public let vcpu: UInt32
  /// SINT, 0 to 15.
  public let source: UInt32

  /// A route; the kernel checks it when the table is set.
  public init(interrupt: UInt32, vcpu: UInt32, source: UInt32) {
    self.interrupt = interrupt
    self.vcpu = vcpu
    self.source = source
  }
}

extension VirtualMachine {
  /// Has the kernel tell when the guest is done with an interrupt: for one that goes to a SynIC, at
  /// its *end of message* and its *end of interrupt*.
  ///
  /// - Parameters:
  ///   - trigger: an eventfd that would raise the interrupt; of its own for each.
  ///   - resample: the eventfd that is told; may be the same for several.
  /// Source: KVM API, KVM_IRQFD, KVM_IRQFD_FLAG_RESAMPLE.
  public func watchInterrupt(
    _ interrupt: UInt32, trigger: Int32, resample: Int32
  ) throws(KVMError) {
    var request = kvm_irqfd()
    request.fd = UInt32(bitPattern: trigger)
    request.gsi = interrupt
    request.flags = CKVM_IRQFD_FLAG_RESAMPLE
    request.resamplefd = UInt32(bitPattern: resample)
    try descriptor.call(CKVM_IRQFD, &request, "KVM_IRQFD for interrupt \(interrupt)")
  }

  /// Has the kernel take hypercall 0x005D for a connection: it signals an eventfd, and the guest
  /// goes on without an exit.
  ///
  /// - Parameter connection: below 2^24.
  /// Source: KVM API, KVM_HYPERV_EVENTFD.
  public func takeEvents(ofConnection connection: UInt32, by event: Int32) throws(KVMError) {
    var request = kvm_hyperv_eventfd()
    request.conn_id = connection
    request.fd = event
    try descriptor.call(
      CKVM_HYPERV_EVENTFD, &request, "KVM_HYPERV_EVENTFD for connection \(connection)",
      cure: KVMCapability.hyperVEventFD.cure)
  }
}
