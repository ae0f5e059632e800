public import GuestMemory

/// Lets the guest reach a device's memory without exits.
///
/// The machine has one; device models never see it: a BAR with memory of its own is placed by
/// `PCIHost`.
public protocol MemoryMapper: AnyObject, Sendable {
  /// Shows all of `memory` to the guest, which can read and write it. Any thread, while vCPUs run.
  ///
  /// - Parameters:
  ///   - address: the first GPA, in bytes. The guest chose it: any value is accepted.
  ///   - logsWrites: whether `MemoryMapping.addWrittenPages` is wanted.
  /// - Returns: nil where that is not possible; accesses then exit and are carried out one by one.
  func map(
    _ memory: DeviceMemory, at address: UInt64, logsWrites: Bool
  ) -> (any MemoryMapping)?
}

/// A device's memory at one place. Not for several threads at once.
public protocol MemoryMapping: AnyObject, Sendable {
  /// Sets a bit for each page of 4 KiB that the guest wrote since the last call; bits that are set
  /// stay. With nested paging KVM's log may also name pages that the guest only read and this
  /// process wrote.
  ///
  /// - Parameter words: 64 pages each, bit 0 of word 0 is the first page; as many as pages need.
  /// - Returns: false if that is not known: any page may have been written.
  func addWrittenPages(to words: inout [UInt64]) -> Bool

  /// Starts or ends the log that `addWrittenPages` reads. What was written before the start is not
  /// in it.
  ///
  /// - Returns: false if that is not possible; the log is as it was.
  func setLogsWrites(_ logsWrites: Bool) -> Bool

  /// Ends it: accesses exit. Which pages were written is lost. Once, as the last call.
  func unmap()
}
