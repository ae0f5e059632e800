/// How a machine's run ended.
public enum MachineOutcome: Sendable {
  /// The program wrote this value to its exit port.
  case exited(status: UInt32)
  /// The host asked for it.
  case stopped
  /// The guest switched the machine off.
  case poweredOff
  /// The guest reset the machine: by a port or the Hyper-V reset MSR.
  case reset
  /// Triple fault: an exception without a handler. On a PC one of the ways to reset it.
  case tripleFault(vcpuID: UInt32, instructionPointer: UInt64)
  /// The guest reported its own crash by the Hyper-V crash MSRs. It was given time for its last
  /// words.
  case crashed(GuestCrash)
  /// Neither guest nor host asked for the end.
  case failed(MachineError)
}
