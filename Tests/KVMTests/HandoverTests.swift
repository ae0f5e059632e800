import Foundation
import Synchronization
import Testing

@testable import KVM

/// A vCPU moves to its thread as the documentation of `VCPU` says. That it compiles is half of it.
struct HandoverTests {
  @Test(.timeLimit(.minutes(10)))
  func aVCPUMovesToAnotherThread() async throws {
    let vcpu = try BadDescriptor.vcpu()
    let kicker = vcpu.kicker
    let handover = Mutex<VCPU?>(vcpu)
    await withCheckedContinuation { done in
      Thread.detachNewThread {
        if let vcpu = handover.withLock({ $0.take() }) { vcpu.bindToCurrentThread() }
        done.resume()
      }
    }
    #expect(kicker.threadID != nil)
    #expect(handover.withLock { $0 == nil })
  }
}
