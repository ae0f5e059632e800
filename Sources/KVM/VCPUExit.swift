/// Why KVM_RUN returned. Source: KVM API, "The kvm_run structure".
///
/// Numbers only: making, copying and dropping one neither allocates nor counts references.
public enum VCPUExit: Hashable, Sendable {
  /// The guest writes to a port; the data is `VCPU.portOutput()`.
  case portOut(PortAccess)
  /// The guest reads a port; answer with `VCPU.completePortInput(_:)`.
  case portIn(PortAccess)
  /// The guest writes memory that no slot backs: the low `byteCount` bytes of `value`, 1 to 8.
  case memoryWrite(address: UInt64, byteCount: Int, value: UInt64)
  /// The guest reads memory that no slot backs; answer with `VCPU.completeMemoryRead(_:)`.
  case memoryRead(address: UInt64, byteCount: Int)
  /// RDMSR that KVM passed on; answer with `VCPU.completeMSRRead(_:)`, nil raising #GP.
  case readMSR(index: UInt32)
  /// WRMSR that KVM passed on; answer with `VCPU.completeMSRWrite(fault:)`.
  case writeMSR(index: UInt32, value: UInt64)
  /// KVM_EXIT_HYPERV_HCALL: a Hyper-V hypercall that KVM leaves to userspace; answer with
  /// `VCPU.completeHypercall(_:)`.
  case hyperVHypercall(input: UInt64, inputAddress: UInt64, outputAddress: UInt64)
  /// KVM_EXIT_HYPERV_SYNIC: the guest wrote SCONTROL, SIEFP or SIMP; the last two as they are now,
  /// with the address in bits 63:12 and *enabled* in bit 0. Nothing to answer. With
  /// KVM_CAP_HYPERV_SYNIC2 the kernel leaves it to userspace to clear a page that is enabled.
  case hyperVSynIC(msr: UInt32, eventPage: UInt64, messagePage: UInt64)
  /// HLT, only without interrupt controllers in the kernel.
  case halt
  /// Triple fault.
  case shutdown
  /// A signal, or a kick, ended KVM_RUN.
  case interrupted
  /// KVM_EXIT_SYSTEM_EVENT.
  case systemEvent(type: UInt32)
  /// KVM gave up: emulation failure and the like; `VCPU.internalErrorData()` says more.
  case internalError(subError: UInt32)
  /// The processor refused the guest state.
  case failedEntry(hardwareReason: UInt64)
  /// An exit this program does not ask for.
  case unknown(reason: UInt32)
}

/// One `in`, `out`, `ins` or `outs`.
public struct PortAccess: Hashable, Sendable {
  /// The port.
  public let port: UInt16
  /// Bytes of one item: 1, 2 or 4.
  public let width: Int
  /// Items, all for the same port; more than 1 with string instructions.
  public let count: Int

  /// An access, for code that has no vCPU.
  public init(port: UInt16, width: Int, count: Int) {
    self.port = port
    self.width = width
    self.count = count
  }
}
