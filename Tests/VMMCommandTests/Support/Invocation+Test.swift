import MachineSpecification
import Testing

@testable import VMMCommand

extension Invocation {
  /// A command line without `--config`; files of saved machines are not looked for.
  init(_ arguments: [String]) throws(UsageError) {
    try self.init(
      arguments, on: HostSize(memory: .gibi(15), processorCount: 3),
      readConfiguration: { (path) throws(UsageError) in
        Issue.record("\(path) was read")
        throw .unreadableConfiguration(path)
      }, readSnapshot: { _ in Self.savedMachine })
  }

  /// What every saved machine is.
  static let savedMachine = MachineSpec(
    .computer(ComputerSpec(.kernel(KernelSpec(file: "/boot/vmlinuz")))))
}
