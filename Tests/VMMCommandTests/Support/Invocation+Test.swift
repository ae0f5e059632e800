import MachineSpecification
import Testing

@testable import VMMCommand

extension Invocation {
  /// A command line without `--config`.
  init(_ arguments: [String]) throws(UsageError) {
    try self.init(arguments) { (path) throws(UsageError) in
      Issue.record("\(path) was read")
      throw .unreadableConfiguration(path)
    }
  }
}
