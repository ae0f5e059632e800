import Glibc
import HostSystem
import TestSupport
import Testing

@testable import DeviceKit
@testable import Devices

@Suite struct DeviceThreadsTests {
  @Test("as many run as were asked for, and have ended after the stop")
  func counts() throws {
    let (work, started) = (WorkList(count: 1), Recorder<Bool>())
    let threads = DeviceThreads(work) { started.append(true) }
    let ended = Recorder<Bool>()
    let gate = TestSemaphore()
    try threads.start(count: 3, kind: "test") {
      gate.wait()
      ended.append(true)
    }
    #expect(ended.values.isEmpty)
    for _ in 0..<3 { gate.signal() }
    threads.stop()
    threads.stop()
    #expect(ended.values.count == 3 && started.values.count == 3)
    #expect(work.isOver)
  }

  @Test(
    "where the host gives no more threads a disk does not start, and says what to do",
    .enabled(if: !Sanitizer.isActive, "a sanitizer needs its own address space"))
  func limit() async {
    await #expect(processExitsWith: .exitCode(0)) {
      let disk = NVMeController(
        store: GatedStore(), identity: NVMeIdentity(serial: "S-1"), history: NVMeHistory { 0 },
        queuePairCount: 1, threadCount: 4, context: PCIContext())
      // No room for another stack.
      try ProcessLimit.addressSpace.set(64 << 20)
      do {
        try disk.start()
      } catch {
        let text = "cannot start 4 disk threads; raise the limit of processes (ulimit -u)"
        _exit((error as? DeviceError)?.description == text ? 0 : 2)
      }
      _exit(1)
    }
  }
}
