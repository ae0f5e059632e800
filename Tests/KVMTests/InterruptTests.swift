import KVM
import Testing

@Suite(
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct InterruptTests {
  private func machine() throws -> VirtualMachine {
    let machine = try KVMSystem().makeVirtualMachine()
    try machine.makeInterruptControllers()
    return machine
  }

  @Test func theRoutesOfAPC() throws {
    let routes = InterruptRoute.personalComputer
    #expect(Set(routes).count == 15 + 23)
    #expect(routes.filter { $0.interrupt == 0 }.map(\.pin) == [0, 2])
    #expect(!routes.contains { $0.interrupt == 2 })
    #expect(
      routes.contains(InterruptRoute(interrupt: 12, controller: .secondaryPIC, pin: 4)))
    #expect(routes.contains(InterruptRoute(interrupt: 23, controller: .ioAPIC, pin: 23)))
    let machine = try machine()
    try machine.setInterruptRoutes(routes)
    try machine.setInterruptRoutes([])
  }

  @Test func anImpossibleRouteIsRefused() throws {
    let machine = try machine()
    #expect(throws: KVMError.self) {
      try machine.setInterruptRoutes([
        InterruptRoute(interrupt: 5, controller: .ioAPIC, pin: 99)
      ])
    }
  }

  @Test func theTimerNeedsControllers() throws {
    try machine().makeIntervalTimer()
    let bare = try KVMSystem().makeVirtualMachine()
    #expect(throws: KVMError.self) { try bare.makeIntervalTimer() }
    #expect(throws: KVMError.self) { try bare.setInterrupt(4, isAsserted: true) }
  }

  @Test func messagesReachAProcessorThatExists() throws {
    let machine = try machine()
    let vcpu = try machine.makeVCPU(id: 0)
    try machine.setInterrupt(4, isAsserted: true)
    try machine.setInterrupt(4, isAsserted: false)
    // Vector 0x41, fixed, to APIC 7, of which there is none.
    #expect(try !machine.signalMSI(address: 0xFEE0_7000, data: 0x41))
    _ = consume vcpu
  }
}
