public import DeviceKit
internal import HostSystem

/// The memory by which an operating system asks firmware to change a TPM's settings at the next
/// start, and gets its answer (*physical presence interface*). A reset leaves it as it is, so it is
/// one object for all machines of a run. Safe from any thread.
///
/// Source: TCG PC Client Platform Physical Presence Interface 1.30; QEMU's docs/specs/tpm, *ACPI
/// PPI Interface*, for the layout, which is firmware's and the ACPI tables' alone.
public final class PhysicalPresenceMemory: BusDevice {
  /// 1 KiB behind the TPM's registers, in one page.
  public static let range = MMIORange(start: 0xFED4_5000, byteCount: 0x400)

  private let bytes = Guarded([UInt8](repeating: 0, count: Int(range.byteCount)))

  public init() {}

  public func read(offset: UInt64, width: Int) -> UInt64 {
    bytes.withLock { bytes in
      ByteLanes.read(offset: offset, width: width, registerCount: Self.range.byteCount) {
        bytes[Int($0)]
      }
    }
  }

  public func write(offset: UInt64, width: Int, value: UInt64) {
    bytes.withLock { bytes in
      ByteLanes.write(
        offset: offset, width: width, value: value, registerCount: Self.range.byteCount
      ) { bytes[Int($0)] = $1 }
    }
  }
}

extension PhysicalPresenceMemory: StatefulDevice {
  /// The memory.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    try bytes.withLock { (bytes) throws(StateError) in try transfer.bytes(&bytes) }
  }
}
