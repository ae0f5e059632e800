internal import CKVM

/// Where a global system interrupt goes: a pin of a controller in the kernel.
///
/// Source: KVM API, KVM_SET_GSI_ROUTING.
public struct InterruptRoute: Hashable, Sendable {
  /// A controller in the kernel, by its KVM_IRQCHIP_* number.
  public enum Controller: UInt32, Sendable {
    case primaryPIC = 0
    case secondaryPIC = 1
    case ioAPIC = 2
  }

  /// The global system interrupt (GSI).
  public let interrupt: UInt32
  /// Where it goes.
  public let controller: Controller
  /// The pin there: 0 to 7 of a PIC, 0 to 23 of the I/O APIC.
  public let pin: UInt32

  /// A route; the kernel checks it when the table is set.
  public init(interrupt: UInt32, controller: Controller, pin: UInt32) {
    self.interrupt = interrupt
    self.controller = controller
    self.pin = pin
  }

  /// As in a PC: 0 to 15 to the PICs, all 24 to the I/O APIC, but the timer, interrupt 0, to its
  /// pin 2. The MADT must say so too.
  public static let personalComputer: [InterruptRoute] =
    (0..<16).filter { $0 != 2 }.map {
      InterruptRoute(
        interrupt: $0, controller: $0 < 8 ? .primaryPIC : .secondaryPIC, pin: $0 % 8)
    }
    + (0..<24).filter { $0 != 2 }.map {
      InterruptRoute(interrupt: $0, controller: .ioAPIC, pin: $0 == 0 ? 2 : $0)
    }
}

extension VirtualMachine {
  /// Makes the PIC, I/O APIC and local APICs in the kernel; before any vCPU.
  public func makeInterruptControllers() throws(KVMError) {
    try descriptor.call(
      CKVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", cure: "it must come before the first vCPU")
  }

  /// Makes the 8254 in the kernel, which drives interrupt 0, with a port 0x61 that is quiet.
  public func makeIntervalTimer() throws(KVMError) {
    var configuration = kvm_pit_config()
    configuration.flags = UInt32(KVM_PIT_SPEAKER_DUMMY)
    try descriptor.call(
      CKVM_CREATE_PIT2, &configuration, "KVM_CREATE_PIT2",
      cure: "interrupt controllers in the kernel must be made before")
  }

  /// Replaces all routes of interrupts.
  ///
  /// - Parameter synthetic: routes to processors whose SynIC is on: KVM looks for them now.
  public func setInterruptRoutes(
    _ routes: [InterruptRoute], synthetic: [SyntheticInterruptRoute] = []
  ) throws(KVMError) {
    let count = routes.count + synthetic.count
    let headerByteCount = MemoryLayout<kvm_irq_routing>.size
    let byteCount = headerByteCount + count * MemoryLayout<kvm_irq_routing_entry>.stride
    let table = UnsafeMutableRawPointer.allocate(
      byteCount: byteCount, alignment: MemoryLayout<kvm_irq_routing>.alignment)
    defer { unsafe table.deallocate() }
    // SAFETY: room for the header and all entries, zeroed before its use; freed after the call.
    unsafe table.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    let header = unsafe table.assumingMemoryBound(to: kvm_irq_routing.self)
    unsafe header.pointee.nr = UInt32(count)
    let entries = unsafe ckvm_irq_routing_entries(header)
    for (index, route) in routes.enumerated() {
      unsafe entries[index].gsi = route.interrupt
      unsafe entries[index].type = UInt32(KVM_IRQ_ROUTING_IRQCHIP)
      unsafe entries[index].u.irqchip = kvm_irq_routing_irqchip(
        irqchip: route.controller.rawValue, pin: route.pin)
    }
    for (index, route) in synthetic.enumerated() {
      unsafe entries[routes.count + index].gsi = route.interrupt
      unsafe entries[routes.count + index].type = UInt32(KVM_IRQ_ROUTING_HV_SINT)
      unsafe entries[routes.count + index].u.hv_sint = kvm_irq_routing_hv_sint(
        vcpu: route.vcpu, sint: route.source)
    }
    try unsafe descriptor.call(
      CKVM_SET_GSI_ROUTING, pointer: table, "KVM_SET_GSI_ROUTING with \(count) routes")
  }

  /// Drives the wire of an interrupt. Any thread.
  public func setInterrupt(_ interrupt: UInt32, isAsserted: Bool) throws(KVMError) {
    var level = kvm_irq_level()
    level.irq = interrupt
    level.level = isAsserted ? 1 : 0
    try descriptor.call(CKVM_IRQ_LINE, &level, "KVM_IRQ_LINE \(interrupt)")
  }

  /// Sends a message-signalled interrupt. Any thread.
  ///
  /// - Returns: false if no processor takes it, as when the guest has its local APICs off.
  @discardableResult
  public func signalMSI(address: UInt64, data: UInt32) throws(KVMError) -> Bool {
    var message = kvm_msi()
    message.address_lo = UInt32(truncatingIfNeeded: address)
    message.address_hi = UInt32(address >> 32)
    message.data = data
    return try descriptor.call(
      CKVM_SIGNAL_MSI, &message,
      "KVM_SIGNAL_MSI to 0x\(String(address, radix: 16)), data 0x\(String(data, radix: 16))") > 0
  }
}
