internal import Bytes
internal import GuestMemory

extension GuestMemoryLayout {
  /// How much memory is installed, where a PC's firmware leaves it in the clock's battery-backed
  /// memory: its values by register.
  ///
  /// Firmware that knows `etc/e820` does not look, with one exception: OVMF with system management
  /// mode reads 0x34 and 0x35 for where that has its memory, and up to 2022.11 goes by nothing
  /// else. Source: QEMU's `pc_cmos_init`, EDK II's `SmmAccessPei.c`.
  var batteryMemory: [UInt8: UInt8] {
    let low = installed[0].upperBound.rawValue
    let high = installed.dropFirst().reduce(0) {
      $0 + ($1.upperBound.rawValue - $1.lowerBound.rawValue)
    }
    // In KiB: up to 640 KiB, and from 1 MiB on.
    let base = UInt16(min(low >> 10, 640))
    let extended = Self.units(of: low, above: 1 << 20, shift: 10)
    // In units of 64 KiB: from 16 MiB on, and from 4 GiB on.
    let more = Self.units(of: low, above: 16 << 20, shift: 16)
    let highest = min(high >> 16, 0xFF_FFFF)
    let fields: [(register: UInt8, bytes: ArraySlice<UInt8>)] = [
      (0x15, base.littleEndianBytes[...]), (0x17, extended.littleEndianBytes[...]),
      (0x30, extended.littleEndianBytes[...]), (0x34, more.littleEndianBytes[...]),
      (0x5B, highest.littleEndianBytes.prefix(3)),
    ]
    return fields.reduce(into: [:]) { registers, field in
      for (offset, byte) in field.bytes.enumerated() {
        registers[field.register + UInt8(offset)] = byte
      }
    }
  }

  private static func units(of end: UInt64, above start: UInt64, shift: Int) -> UInt16 {
    end > start ? UInt16(clamping: (end - start) >> shift) : 0
  }
}
