import MachineSpecification
import Testing

@testable import VMMCommand

extension Invocation {
  /// A command line without `--config`.
  init(_ arguments: [String]) throws(UsageError) {
    try self.init(
      arguments, on: HostSize(memory: .gibi(15), processorCount: 3)
    ) { (path) throws(UsageError) in
      Issue.record("\(path) was read")
      throw .unreadableConfiguration(path)
    }
  }
}
