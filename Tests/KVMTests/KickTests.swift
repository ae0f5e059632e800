import Foundation
import Glibc
import Synchronization
import Testing

@testable import KVM

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct KickTests {
  @Test func aKickBeforeTheRunHoldsUntilCleared() throws {
    var guest = try TinyGuest([0xF4])
    guest.vcpu.kicker.kick()
    #expect(try guest.vcpu.run() == .interrupted)
    #expect(try guest.vcpu.run() == .interrupted)
    guest.vcpu.clearKick()
    #expect(try guest.vcpu.run() == .halt)
  }

  @Test func finishingAnExitKeepsAKick() throws {
    var guest = try TinyGuest(ExecutionTests.writeAndHalt)
    guard case .portOut = try guest.vcpu.run() else {
      Issue.record("no exit")
      return
    }
    guest.vcpu.kicker.kick()
    try guest.vcpu.finishPendingExit()
    #expect(try guest.vcpu.run() == .interrupted)
    guest.vcpu.clearKick()
    try guest.vcpu.finishPendingExit()
    #expect(try guest.vcpu.run() == .halt)
  }

  @Test func aKickAfterTheVCPUsEndIsHarmless() throws {
    let kicker = try kickerOfAGoneVCPU()
    kicker.kick()
  }

  private func kickerOfAGoneVCPU() throws -> VCPUKicker {
    let guest = try TinyGuest([0xF4])
    return guest.vcpu.kicker
  }

  /// INC BYTE [0x2000]; JMP back
  static let loop: [UInt8] = [0xFE, 0x06, 0x00, 0x20, 0xEB, 0xFA]

  @Test(arguments: [true, false])
  func aSignalEndsALoopingGuest(kicks: Bool) throws {
    var guest = try TinyGuest(Self.loop)
    let alarm = SignalAlarm(
      memory: guest.memory, address: 0x2000, kicker: kicks ? guest.vcpu.kicker : nil)
    alarm.start()
    #expect(try guest.vcpu.run() == .interrupted)
    alarm.stop()
    #expect(guest.memory.loadByte(at: 0x2000) != 0)
    guard kicks else { return }
    // The kick is still in force, the signal is not.
    #expect(try guest.vcpu.run() == .interrupted)
  }
}

/// Once the guest has written a byte, kicks the vCPU of the thread that made this and sends that
/// thread signals until stopped.
private final class SignalAlarm: Sendable {
  private static let signal = SIGUSR2

  private let memory: GuestPages
  private let address: Int
  private let kicker: VCPUKicker?
  private let target = pthread_self()
  private let isStopped = Atomic(false)
  private let isEnded = Atomic(false)

  init(memory: GuestPages, address: Int, kicker: VCPUKicker?) {
    self.memory = memory
    self.address = address
    self.kicker = kicker
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = { _ in }
    // SAFETY: the structures live for the calls; the handler does nothing.
    unsafe sigaction(Self.signal, &action, nil)
    // The threads that tests run on may block signals of their own accord.
    var mask = sigset_t()
    unsafe sigemptyset(&mask)
    unsafe sigaddset(&mask, Self.signal)
    unsafe pthread_sigmask(SIG_UNBLOCK, &mask, nil)
  }

  func start() {
    Thread { [self] in
      while memory.loadByte(at: address) == 0 { usleep(1000) }
      kicker?.kick()
      while !isStopped.load(ordering: .acquiring) {
        pthread_kill(target, Self.signal)
        usleep(10_000)
      }
      isEnded.store(true, ordering: .releasing)
    }.start()
  }

  func stop() {
    isStopped.store(true, ordering: .releasing)
    while !isEnded.load(ordering: .acquiring) { usleep(1000) }
  }
}
