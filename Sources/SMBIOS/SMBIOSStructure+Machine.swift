// The structures about the machine as a whole. Byte offsets in comments are the specification's
// (SMBIOS 3.7 §7); texts are what management tools show.

extension SMBIOSStructure {
  private static let manufacturer = "vmm-run"
  private static let product = "Virtual Machine"
  /// "Other" and "unknown" of most enumerations.
  private static let other: UInt8 = 1
  private static let unknown: UInt8 = 2

  /// *Firmware Information*, type 0.
  static func firmware(version: String) -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 0, handle: 0)
    structure.append(manufacturer)
    structure.append(version)
    structure.append(UInt16(0xE800))  // 0x06: where a BIOS would begin
    structure.append("01/01/2026")  // 0x08: tools want a date; the interface has not changed since
    structure.append(UInt8(0))  // 0x09: 64 KiB
    structure.append(UInt64(1) << 3)  // 0x0A: no characteristics are told
    structure.append(UInt16(0x1C) << 8)  // 0x12: virtual machine, UEFI, targeted distribution
    structure.append(bytes: [0xFF, 0xFF, 0xFF, 0xFF])  // 0x14: no release numbers
    return structure
  }

  /// *System Information*, type 1: the UUID, and what the user has the machine called.
  static func system(_ platform: SMBIOSPlatform) -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 1, handle: 0x100)
    structure.append(platform.texts[.manufacturer] ?? manufacturer)
    structure.append(platform.texts[.product] ?? product)
    structure.append(platform.texts[.version] ?? platform.version)
    structure.append(optional: platform.texts[.serial])
    structure.append(bytes: platform.uuid.wireBytes)
    structure.append(UInt8(6))  // 0x18: woken by the power switch
    structure.append(optional: platform.texts[.sku])
    structure.append(optional: platform.texts[.family])
    return structure
  }

  /// *System Enclosure*, type 3: Windows tells portable machines by it.
  static func enclosure(_ texts: SMBIOSTexts) -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 3, handle: 0x300)
    structure.append(texts[.manufacturer] ?? manufacturer)
    structure.append(other)  // 0x05: the type
    structure.append(bytes: [0, 0])  // 0x06: no version or serial number
    structure.append(optional: texts[.asset])
    structure.append(bytes: [3, 3, 3])  // 0x09: boots, is powered and is warm safely
    structure.append(unknown)  // 0x0C: security
    structure.append(UInt32(0))
    structure.append(bytes: [0, 1, 0, 0])  // 0x11: height unknown, one cord, no parts
    structure.append(UInt8(0))  // 0x15: no SKU
    return structure
  }

  /// *Processor Information*, type 4: one processor of many cores, as CPUID says too.
  static func processor(_ platform: SMBIOSPlatform) -> SMBIOSStructure {
    let coreCount = platform.vcpuCount
    let short = UInt8(min(coreCount, 0xFF))
    var structure = SMBIOSStructure(type: 4, handle: 0x400)
    structure.append("CPU 0")
    structure.append(UInt8(3))  // 0x05: a central processor
    structure.append(other)  // 0x06: the family
    structure.append(manufacturer)
    structure.append(UInt64(0))  // 0x08: CPUID leaf 1, which guests can ask for themselves
    // 0x10: the version, which is where tools and firmware look for the name.
    if platform.processorName.isEmpty {
      structure.append(UInt8(0))
    } else {
      structure.append(platform.processorName)
    }
    structure.append(UInt8(0))  // 0x11: voltage unknown
    structure.append(UInt16(0))  // 0x12: external clock unknown
    structure.append(platform.processorMegahertz)  // 0x14: at most
    structure.append(platform.processorMegahertz)  // 0x16: when it started
    structure.append(UInt8(0x41))  // 0x18: populated, enabled
    structure.append(other)  // 0x19: the socket
    structure.append(bytes: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])  // 0x1A: caches not described
    structure.append(bytes: [0, 0, 0])  // 0x20: no serial number, tag or part number
    structure.append(bytes: [short, short, short])  // 0x23: cores, enabled cores, threads
    structure.append(UInt16(1) << 2 | UInt16(1) << 3)  // 0x26: 64-bit, several cores
    structure.append(UInt16(1))  // 0x28: the family again
    for _ in 0..<3 { structure.append(UInt16(clamping: coreCount)) }  // 0x2A
    return structure
  }

  /// *OEM Strings*, type 11; nil without any.
  static func oemStrings(_ texts: [String]) -> SMBIOSStructure? {
    guard !texts.isEmpty else { return nil }
    var structure = SMBIOSStructure(type: 11, handle: 0xB00)
    structure.append(UInt8(texts.count))
    for text in texts { structure.appendText(text) }
    return structure
  }

  /// *System Boot Information*, type 32.
  static func bootStatus() -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 32, handle: 0x2000)
    structure.append(bytes: [0, 0, 0, 0, 0, 0])
    structure.append(UInt8(0))  // no errors
    return structure
  }

  /// *End-of-Table*, type 127.
  static func end() -> SMBIOSStructure {
    SMBIOSStructure(type: 127, handle: 0x7F00)
  }
}
