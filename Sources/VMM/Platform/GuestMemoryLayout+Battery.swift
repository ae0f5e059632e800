internal import GuestMemory

extension GuestMemoryLayout {
  /// How much memory is installed, where a PC's firmware leaves it in the clock's battery-backed
  /// memory: its values by register.
  ///
  /// Firmware that knows `etc/e820` does not look, with one exception: OVMF of 2022.11 and before
  /// finds the memory of system management mode by 0x34 and 0x35. Source: QEMU's `pc_cmos_init`,
  /// EDK II's `SmmAccessPei.c`.
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
    return [
      0x15: UInt8(base & 0xFF), 0x16: UInt8(base >> 8),
      0x17: UInt8(extended & 0xFF), 0x18: UInt8(extended >> 8),
      0x30: UInt8(extended & 0xFF), 0x31: UInt8(extended >> 8),
      0x34: UInt8(more & 0xFF), 0x35: UInt8(more >> 8),
      0x5B: UInt8(highest & 0xFF), 0x5C: UInt8(highest >> 8 & 0xFF), 0x5D: UInt8(highest >> 16),
    ]
  }

  private static func units(of end: UInt64, above start: UInt64, shift: Int) -> UInt16 {
    end > start ? UInt16(clamping: (end - start) >> shift) : 0
  }
}
