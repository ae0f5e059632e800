internal import HostSystem

extension Event {
  /// An event of a machine.
  ///
  /// - Throws: `.unavailable` when the process has no more descriptors.
  static func ofMachine() throws(MachineError) -> Event {
    do throws(Errno) {
      return try Event()
    } catch {
      throw .unavailable(
        what: "cannot make an event: \(error)",
        cure: "raise the limit of open files (ulimit -n)")
    }
  }
}
