internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// A command of `FirmwareConfiguration`'s DMA, as the guest wrote it: big-endian control, length,
/// address.
struct FirmwareDMACommand {
  enum Operation {
    case nothing, read, skip, write
  }

  private static let byteCount = 16
  private static let failed: UInt32 = 1 << 0

  let operation: Operation
  /// The item to choose first, if any.
  let selector: UInt16?
  /// At most 4 GiB less one byte.
  let byteCount: Int
  let address: GPA

  /// Copies a command out of guest memory.
  init(at address: GPA, in memory: GuestMemory) throws(GuestMemoryError) {
    let bytes = try memory.read(at: address, byteCount: Self.byteCount)
    let control: UInt32 = bytes.loadBE(at: 0)
    // Of several bits the first counts, as in QEMU.
    operation =
      control & 1 << 1 != 0
      ? .read : control & 1 << 4 != 0 ? .write : control & 1 << 2 != 0 ? .skip : .nothing
    selector = control & 1 << 3 != 0 ? UInt16(control >> 16) : nil
    byteCount = Int(bytes.loadBE(at: 4, as: UInt32.self))
    self.address = GPA(bytes.loadBE(at: 8, as: UInt64.self))
  }

  /// Tells the guest, by the control word, that the command has ended: 0, or *error*.
  func finish(isDone: Bool, at address: GPA, in memory: GuestMemory) {
    let answer = isDone ? 0 : Self.failed
    // The command was read there; memory does not go away.
    try? memory.store(answer.byteSwapped, at: address)
  }
}
