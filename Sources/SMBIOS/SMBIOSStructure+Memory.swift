// The structures about memory (SMBIOS 3.7 §7.17 to §7.20). Byte offsets in comments are the
// specification's.

extension SMBIOSStructure {
  /// *Physical Memory Array*, type 16: all RAM, as one array with one device.
  static func memoryArray(handle: UInt16, byteCount: UInt64) -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 16, handle: handle)
    structure.append(UInt8(1))  // 0x04: somewhere else than on a board
    structure.append(UInt8(3))  // 0x05: system memory
    structure.append(UInt8(6))  // 0x06: errors of several bits are corrected
    structure.append(UInt32(0x8000_0000))  // 0x07: see 0x0F
    structure.append(UInt16(0xFFFE))  // 0x0B: no error information
    structure.append(UInt16(1))  // 0x0D: devices
    structure.append(byteCount)  // 0x0F
    return structure
  }

  /// *Memory Device*, type 17.
  static func memoryDevice(in array: UInt16, byteCount: UInt64) -> SMBIOSStructure {
    let megabytes = byteCount >> 20
    // A size that 15 bits do not hold is told in the extended field, which has 31.
    let isLarge = megabytes >= 0x7FFF
    var structure = SMBIOSStructure(type: 17, handle: 0x1100)
    structure.append(array)
    structure.append(UInt16(0xFFFE))  // 0x06: no error information
    structure.append(bytes: [0xFF, 0xFF, 0xFF, 0xFF])  // 0x08: widths unknown
    structure.append(isLarge ? 0x7FFF : UInt16(megabytes))  // 0x0C
    structure.append(UInt8(9))  // 0x0E: a DIMM
    structure.append(UInt8(0))  // 0x0F: of no set
    structure.append("DIMM 0")
    structure.append(UInt8(0))  // 0x11: no bank
    structure.append(UInt8(7))  // 0x12: RAM
    structure.append(UInt16(1) << 1)  // 0x13: no details
    structure.append(UInt16(0))  // 0x15: speed unknown
    structure.append(bytes: [0, 0, 0, 0])  // 0x17: no maker, numbers or tag
    structure.append(UInt8(0))  // 0x1B: rank unknown
    structure.append(isLarge ? UInt32(clamping: megabytes) & 0x7FFF_FFFF : 0)  // 0x1C
    structure.append(bytes: [0, 0, 0, 0, 0, 0, 0, 0])  // 0x20: speed and voltages unknown
    return structure
  }

  /// *Memory Array Mapped Address*, type 19.
  ///
  /// - Parameter range: not empty, whole KiB.
  static func mappedAddresses(
    _ range: Range<UInt64>, of array: UInt16, number: UInt16
  ) -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 19, handle: 0x1300 + number)
    structure.append(UInt32.max)  // 0x04: see 0x0F
    structure.append(UInt32.max)
    structure.append(array)
    structure.append(UInt8(1))  // 0x0E: in one row
    structure.append(range.lowerBound)  // 0x0F
    structure.append(range.upperBound - 1)
    return structure
  }
}
