internal import Devices
internal import KVM
internal import Synchronization

/// A wire to the interrupt controllers in the kernel.
final class KVMInterruptLine: InterruptLine {
  private let machine: VirtualMachine
  private let interrupt: UInt32
  /// The wire as it is; saves the system call for a line that is set as it is.
  private let isAsserted = Mutex(false)

  /// - Parameter interrupt: the global system interrupt.
  init(_ interrupt: UInt32, of machine: VirtualMachine) {
    self.interrupt = interrupt
    self.machine = machine
  }

  func set(_ isAsserted: Bool) {
    self.isAsserted.withLock { current in
      guard isAsserted != current else { return }
      current = isAsserted
      // It fails only without interrupt controllers, and this machine has them.
      try? machine.setInterrupt(interrupt, isAsserted: isAsserted)
    }
  }
}

/// Message-signalled interrupts, by the kernel.
final class KVMMessageSink: MSISink {
  private let machine: VirtualMachine

  init(_ machine: VirtualMachine) {
    self.machine = machine
  }

  func send(_ message: MSIMessage) {
    // The guest composed it: what no processor takes is lost, as on hardware.
    _ = try? machine.signalMSI(address: message.address, data: message.data)
  }
}
