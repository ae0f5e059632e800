public import HyperVCore

/// What a guest reported of its crash, and on which vCPU. All of it is the guest's word.
public struct GuestCrash: Hashable, Sendable {
  /// The registers.
  public let report: CrashReport
  /// What the guest said it is.
  public let identity: GuestIdentity
  /// The message's bytes, at most 4096, as they lay in memory at the report; nil if there is none,
  /// or its address is no memory.
  public let message: [UInt8]?
  /// The vCPU that wrote the register.
  public let vcpuID: UInt32

  /// A report as a machine makes it.
  public init(report: CrashReport, identity: GuestIdentity, message: [UInt8]?, vcpuID: UInt32) {
    self.report = report
    self.identity = identity
    self.message = message
    self.vcpuID = vcpuID
  }
}
