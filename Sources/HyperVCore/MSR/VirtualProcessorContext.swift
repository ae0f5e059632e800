/// What a synthetic MSR access needs to know about the vCPU that makes it and the machine around
/// it.
///
/// Made anew for each access, on the vCPU's thread. A thread-safe value.
public struct VirtualProcessorContext: Sendable {
  /// The vCPU's index, as VP_INDEX reads: 0 and up without gaps.
  public var vpIndex: UInt32

  /// What RDTSC gives the guest on this vCPU now.
  ///
  /// The guest's own view, so with KVM's TSC offset, since a guest mixes the reference TSC page
  /// (which it computes from RDTSC) with TIME_REF_COUNT and must not see time go back.
  public var timestampCounter: UInt64

  /// How long the vCPU ran, guest and hypervisor together, in units of 100 ns.
  public var runTime: UInt64

  /// Whether the page with a GPN is RAM that the VMM can put contents into.
  ///
  /// A function and not a limit, because RAM has holes below 4 GiB. Asked only when a guest enables
  /// an overlay page, with a GPN below 2^52 that the guest chose.
  public var isPageInRAM: @Sendable (_ page: UInt64) -> Bool

  /// Composes a context.
  public init(
    vpIndex: UInt32, timestampCounter: UInt64, runTime: UInt64,
    isPageInRAM: @escaping @Sendable (_ page: UInt64) -> Bool
  ) {
    self.vpIndex = vpIndex
    self.timestampCounter = timestampCounter
    self.runTime = runTime
    self.isPageInRAM = isPageInRAM
  }

  /// Composes a context for a machine whose RAM is the first `ramPageCount` pages (4 KiB each).
  public init(vpIndex: UInt32, timestampCounter: UInt64, runTime: UInt64, ramPageCount: UInt64) {
    self.init(vpIndex: vpIndex, timestampCounter: timestampCounter, runTime: runTime) {
      $0 < ramPageCount
    }
  }
}
