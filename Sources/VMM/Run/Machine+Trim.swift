public import GuestMemory
internal import HostPages

// Giving the host what is zero in sparsely used huge pages.
extension Machine {
  /// What gives it back.
  ///
  /// - Returns: nil if nobody wants it, or if the host cannot and nobody insists.
  static func trimmer(
    _ configuration: MachineConfiguration, _ guest: GuestMemory
  ) throws(MachineError) -> HugePageTrimmer? {
    guard configuration.wantsTrimmer else { return nil }
    do throws(HostPagesError) {
      return try guest.trimmer()
    } catch {
      guard configuration.trimAtAnswer == nil else { throw .hostPages(error) }
      return nil
    }
  }

  /// Looks for huge pages of guest memory that are mostly zero, and gives their zero pages back
  /// (`HugePageTrimmer.trim`). The guest runs on; no byte of its memory changes. Any thread but a
  /// vCPU's.
  ///
  /// - Returns: nil if the machine was not made for it (`MachineConfiguration.allowsTrimming`), or
  ///   its memory or this host cannot.
  public func trim(_ budget: HugePageTrimmer.Budget = .default) -> HugePageTrimmer.Outcome? {
    trimmer?.trim(budget) { [control] in !control.isEnding }
  }

  /// What has been given back so far, at answers and on request; nil where `trim` is. Any thread,
  /// also after the run.
  public var trimTotals: HugePageTrimmer.Totals? { trimmer?.totals }
}
