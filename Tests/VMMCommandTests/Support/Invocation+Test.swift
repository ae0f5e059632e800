import MachineSpecification
import Testing
import VMM

@testable import VMMCommand

extension Invocation {
  /// A command line without `--config`; files of saved machines are not looked for.
  init(_ arguments: [String]) throws(UsageError) {
    try self.init(
      arguments, on: HostSize(memory: .gibi(15), processorCount: 3),
      readConfiguration: { (path) throws(UsageError) in
        Issue.record("\(path) was read")
        throw .unreadableConfiguration(path)
      }, readSnapshot: { Self.snapshot(in: $0) })
  }

  /// What every directory of a saved machine has.
  static func snapshot(
    in directory: String = "saved", of machine: MachineSpec = savedMachine
  ) -> Snapshot {
    Snapshot(
      files: SnapshotFiles(directory: directory), machine: SavedMachine(),
      notes: SnapshotNotes(
        specification: Array(machine.json.utf8), memoryName: "memory-a", media: []))
  }

  /// What every saved machine is.
  static let savedMachine = MachineSpec(
    .computer(ComputerSpec(.kernel(KernelSpec(file: "/boot/vmlinuz")))))
}
