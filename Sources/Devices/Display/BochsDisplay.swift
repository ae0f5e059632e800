public import DeviceKit
internal import GuestMemory
internal import HostSystem
internal import Synchronization

/// A display: linear memory, registers that set its mode, and a monitor that says which it prefers.
///
/// The *bochs* display of QEMU (1234:1111) as a VGA-class function without VGA's ports. Firmware
/// (OVMF's QemuVideoDxe) and Linux (bochs-drm) have drivers; what knows neither keeps the mode that
/// firmware set. Source: QEMU, docs/specs/standard-vga.
public final class BochsDisplay: PCIFunction, PictureSource {
  private static let leastMemoryByteCount: UInt64 = 16 << 20
  private static let memoryBAR = 0
  private static let registerBAR = PCIBAR(index: 2, byteCount: 4096)
  /// Offset of the registers in their BAR. VGA's are at 0x400; they take what is written.
  private static let registers: UInt64 = 0x500

  public let endpoint: PCIEndpoint
  private let memory: DeviceMemory
  private let edid: [UInt8]
  private let state: Guarded<BochsRegisters>
  /// Whether the device itself wrote the picture, which no log of the guest's writes has.
  private let wasCleared = Atomic(false)
  /// What the monitor prefers, in pixels.
  public let preferredSize: (width: Int, height: Int)

  /// A display that is off.
  ///
  /// - Parameters:
  ///   - width: what the monitor prefers, in pixels, 640 to 4095; others trap.
  ///   - height: the same, 480 to 4095.
  /// - Throws: `DeviceError` if the host does not give the memory.
  public init(width: Int, height: Int, context: PCIContext) throws(DeviceError) {
    precondition(
      (640...4095).contains(width) && (480...4095).contains(height), "\(width)x\(height)")
    var byteCount = Self.leastMemoryByteCount
    while byteCount < UInt64(4 * width * height) { byteCount *= 2 }
    do throws(GuestMemoryError) {
      memory = try DeviceMemory(byteCount: Int(byteCount))
    } catch {
      throw .unavailable(what: "no memory for the display", cure: error.description)
    }
    preferredSize = (width, height)
    edid = EDID.bytes(width: width, height: height)
    state = Guarded(BochsRegisters(memoryByteCount: Int(byteCount)))
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(
        vendor: 0x1234, device: 0x1111, revision: 2, classCode: 0x03_0000,
        subsystemVendor: 0x1AF4, subsystem: 0x1100))
    space.addBAR(
      PCIBAR(index: Self.memoryBAR, byteCount: byteCount, isPrefetchable: true),
      memory: memory)
    space.addBAR(Self.registerBAR)
    endpoint = PCIEndpoint(space, context: context)
  }

  /// What is shown now; nil while the display is off. Any thread.
  public var mode: DisplayMode? { state.withLock { $0.mode } }

  /// A line of the picture of `mode`, from the left: blue, green, red and an unused byte for each
  /// pixel. The guest may be changing it. Any thread.
  ///
  /// - Parameter line: one of the mode's.
  public func line(_ line: Int, of mode: DisplayMode) -> [UInt8] {
    memory.read(at: mode.offset + line * mode.lineByteCount, byteCount: 4 * mode.width)
  }

  /// The same without a copy. Any thread.
  public func withLine(_ line: Int, of mode: DisplayMode, _ body: (RawSpan) -> Void) {
    memory.withBytes(
      at: mode.offset + line * mode.lineByteCount, byteCount: 4 * mode.width, body)
  }

  /// As `PictureSource` says. Any thread, while vCPUs run.
  public func setLogsWrites(_ logsWrites: Bool) {
    endpoint.setLogsWrites(logsWrites, ofBAR: Self.memoryBAR)
  }

  /// As `PictureSource` says. Any thread.
  public func takeWrittenPages() -> [UInt64] {
    let wasCleared = wasCleared.exchange(false, ordering: .acquiringAndReleasing)
    let pages = endpoint.takeWrittenPages(ofBAR: Self.memoryBAR)
    return wasCleared ? pages.map { _ in .max } : pages
  }

  /// Reads the monitor's data or registers; zero elsewhere.
  public func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    guard index == Self.registerBAR.index else { return 0 }
    if offset < UInt64(EDID.byteCount) {
      return ByteLanes.read(
        offset: offset, width: width, registerCount: UInt64(EDID.byteCount)
      ) { edid[Int($0)] }
    }
    guard let first = Self.register(at: offset) else { return 0 }
    return state.withLock { state in
      var value: UInt64 = 0
      for half in 0..<max(min(width, 8) / 2, 1) {
        value |= UInt64(state.read(first + half)) << (16 * half)
      }
      return value
    }
  }

  /// Writes registers, 2 bytes or more at an even offset; other writes are dropped.
  public func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    guard index == Self.registerBAR.index, width >= 2,
      let first = Self.register(at: offset)
    else { return }
    state.withLock { state in
      var isCleared = false
      for half in 0..<(min(width, 8) / 2) {
        let cleared = state.write(
          first + half, UInt16(truncatingIfNeeded: value >> (16 * UInt64(half))))
        isCleared = isCleared || cleared
      }
      // In the lock, so that no other mode is cleared than this one.
      if isCleared, let mode = state.mode {
        memory.clear(at: mode.offset, byteCount: mode.lineByteCount * (mode.height - 1))
        memory.clear(
          at: mode.offset + mode.lineByteCount * (mode.height - 1), byteCount: 4 * mode.width)
        wasCleared.store(true, ordering: .releasing)
      }
    }
  }

  /// Saves or restores registers and, with the endpoint, the memory.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try endpoint.transferState(&transfer)
    try state.withLock { state throws(StateError) in try state.transfer(&transfer) }
    // Viewers know nothing of what is shown now.
    if transfer.isRestoring { wasCleared.store(true, ordering: .releasing) }
  }

  /// Off.
  public func functionLevelReset() {
    state.withLock { $0 = BochsRegisters(memoryByteCount: memory.byteCount) }
    configuration.endFunctionReset()
  }

  /// Off; the memory keeps what it has.
  public func reset() {
    state.withLock { $0 = BochsRegisters(memoryByteCount: memory.byteCount) }
    endpoint.reset()
  }

  /// The number of the register that begins at an offset; nil where none does.
  private static func register(at offset: UInt64) -> Int? {
    guard offset >= registers, offset.isMultiple(of: 2) else { return nil }
    let index = Int(offset - registers) / 2
    return index < BochsRegisters.Index.count ? index : nil
  }
}
