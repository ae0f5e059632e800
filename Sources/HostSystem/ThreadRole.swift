/// What a thread of a machine is there for, and so what it may ask of the kernel (`Sandbox`).
public enum ThreadRole: UInt16, CaseIterable, Hashable, Sendable {
  /// Everything else: the main thread, which makes the machine, again after a reset; console,
  /// signals, the end of tracking, the real-time clock. No thread has a right that it lacks.
  case service
  /// Runs one vCPU and answers its exits. Makes no thread and opens no file.
  case vcpu
  /// Moves data between a disk image and guest memory. Makes no thread and opens no file.
  case disk
  /// Shows the display to viewers, and hands their keys and pointers on. Makes no thread and opens
  /// no file.
  case viewer
  /// Hands a TPM's commands to its emulator. Makes no thread and opens no file.
  case tpm
  /// Moves frames between a network card's guest memory and the far end of its cable. Makes no
  /// thread and opens no file.
  case network
  /// Gives the host the memory back that a guest can do without. Makes no thread and opens no file.
  case balloon
  /// Reads what control clients ask, and sends what they get. Makes no thread and opens no file.
  case control
  /// Serves the channels of VMBus, and gives the host the memory back that the guest gives up
  /// there. Makes no thread and opens no file.
  case vmbus
}
