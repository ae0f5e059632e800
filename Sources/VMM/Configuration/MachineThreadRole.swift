/// What a thread of a machine is there for, for whoever restricts what it may do.
public enum MachineThreadRole: Hashable, Sendable, CaseIterable {
  /// Runs one vCPU and answers its exits. Makes no thread and opens no file.
  case vcpu
  /// Moves data between a disk and guest memory. Makes no thread and opens no file.
  case disk
  /// Neither: the end of tracking, the real-time clock's interrupts.
  case service
}
