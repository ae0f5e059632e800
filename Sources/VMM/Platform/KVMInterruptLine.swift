internal import DeviceKit
internal import Devices
internal import KVM
internal import Synchronization

/// The inputs of the interrupt controllers in the kernel, and the wires to them.
final class KVMInterrupts: Sendable {
  private let machine: VirtualMachine
  private let inputs = Mutex<[UInt32: Input]>([:])

  /// An input with wires of several devices: asserted while one of them is.
  final class Input: Sendable {
    private let assertedCount = Mutex(0)
    private let set: @Sendable (Bool) -> Void

    init(_ set: @escaping @Sendable (Bool) -> Void) {
      self.set = set
    }

    func change(by change: Int) {
      assertedCount.withLock { count in
        let wasAsserted = count > 0
        count += change
        // Under the lock, so that levels arrive in their order.
        if (count > 0) != wasAsserted { set(count > 0) }
      }
    }
  }

  init(_ machine: VirtualMachine) {
    self.machine = machine
  }

  /// A new wire.
  ///
  /// - Parameter interrupt: the global system interrupt.
  func line(_ interrupt: UInt32) -> KVMInterruptLine {
    inputs.withLock { inputs in
      if let input = inputs[interrupt] { return KVMInterruptLine(input) }
      let input = Input { [machine] isAsserted in
        // It fails only without interrupt controllers, and this machine has them.
        try? machine.setInterrupt(interrupt, isAsserted: isAsserted)
      }
      inputs[interrupt] = input
      return KVMInterruptLine(input)
    }
  }
}

/// A wire to an input of the interrupt controllers in the kernel.
final class KVMInterruptLine: InterruptLine {
  private let input: KVMInterrupts.Input
  /// The wire as it is; saves the work for a line that is set as it is.
  private let isAsserted = Mutex(false)

  init(_ input: KVMInterrupts.Input) {
    self.input = input
  }

  func set(_ isAsserted: Bool) {
    self.isAsserted.withLock { current in
      guard isAsserted != current else { return }
      current = isAsserted
      input.change(by: isAsserted ? 1 : -1)
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
