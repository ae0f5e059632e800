public import HyperVCore

/// A synthetic MSR, and what the guest has put there.
public struct SyntheticRegister: Hashable, Sendable {
  /// The vCPU whose register it is; nil for one of the partition.
  public let vcpuID: UInt32?
  /// The register.
  public let msr: SyntheticMSR
  /// Its value.
  public let value: UInt64
}

extension Machine {
  /// The registers that tell what of the Hyper-V interface the guest has turned on
  /// (`SyntheticMSR.kept`); without those that this machine does not have. Any thread but a vCPU's,
  /// while the machine runs; where the registers are KVM's, the vCPUs leave the guest for a moment,
  /// and those of a vCPU that does not come within a second are left out.
  ///
  /// - Throws: `.unavailable` when the process has no more descriptors.
  public func syntheticRegisters() throws(MachineError) -> [SyntheticRegister] {
    let (partition, perVP) = SyntheticMSR.kept
    guard let userspaceHyperV else {
      let answers = try control.inspect(
        seconds: 1, registers: (partition + perVP).map(\.rawValue))
      let vcpus = answers.snapshots.sorted { $0.key < $1.key }
      // The partition's are alike on all.
      return vcpus.prefix(1).flatMap { $0.value.values(of: partition, owner: nil) }
        + vcpus.flatMap { $0.value.values(of: perVP, owner: $0.key) }
    }
    return partition.compactMap { userspaceHyperV.register($0, of: nil) }
      + runners.indices.flatMap { id in
        perVP.compactMap { userspaceHyperV.register($0, of: UInt32(id)) }
      }
  }
}

extension VCPUSnapshot {
  fileprivate func values(of msrs: [SyntheticMSR], owner: UInt32?) -> [SyntheticRegister] {
    msrs.compactMap { msr in
      registers[msr.rawValue].map { SyntheticRegister(vcpuID: owner, msr: msr, value: $0) }
    }
  }
}

extension UserspaceHyperV {
  /// Nil for a register that the partition does not have.
  fileprivate func register(_ msr: SyntheticMSR, of id: UInt32?) -> SyntheticRegister? {
    value(of: msr, vcpuID: id ?? 0).map { SyntheticRegister(vcpuID: id, msr: msr, value: $0) }
  }
}
