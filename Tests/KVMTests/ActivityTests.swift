import KVM
import Testing

@Suite(
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct ActivityTests {
  @Test func withInterruptControllersOnlyTheFirstRuns() throws {
    let machine = try KVMSystem().makeVirtualMachine()
    try machine.makeInterruptControllers()
    let first = try machine.makeVCPU(id: 0)
    let second = try machine.makeVCPU(id: 1)
    #expect(try first.activity() == .runnable)
    #expect(try second.activity() == .uninitialized)
    try second.setActivity(.runnable)
    #expect(try second.activity() == .runnable)
    #expect(throws: KVMError.self) { try second.setActivity(VCPUActivity(rawValue: 99)) }
  }

  @Test func withoutThemAllRun() throws {
    let machine = try KVMSystem().makeVirtualMachine()
    let second = try machine.makeVCPU(id: 1)
    #expect(try second.activity() == .runnable)
  }
}
