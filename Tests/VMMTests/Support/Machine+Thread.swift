import Foundation
import VMM

extension Machine {
  /// Runs the machine on a thread of its own: `run` blocks, and tasks share as many threads as
  /// there are processors.
  func runOnThread() async -> MachineOutcome {
    await withCheckedContinuation { continuation in
      Thread.detachNewThread { [self] in continuation.resume(returning: run()) }
    }
  }
}
