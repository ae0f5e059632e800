internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import KVM

/// Flash below 4 GiB: the firmware, and under it the chip with its variables.
///
/// The guest reads both as memory, without exits; what it writes exits. While the chip is in a mode
/// in which reads give something else than its contents, its slot is gone and reads exit, too.
struct FirmwareFlash {
  private static let end: UInt64 = 1 << 32

  /// The chip, where it takes writes; none without variables.
  let devices: [(MMIORange, any BusDevice)]
  /// The same for vCPUs in system management mode; where that mode is, others only read.
  let managementDevices: [(MMIORange, any BusDevice)]

  /// Registers the slots.
  init(
    _ guest: FirmwareGuest, with machine: VirtualMachine, numbers: MemorySlotNumbers
  ) throws(MachineError) {
    let image = guest.image.contents
    let imageStart = Self.end - UInt64(image.byteCount)
    let chipByteCount = UInt64(guest.variables?.contents.byteCount ?? 0)
    guard UInt64(image.byteCount) + chipByteCount <= UInt64(FirmwareVolume.maximumByteCount) else {
      throw .configuration(
        "firmware \(guest.image.name) and its variables have more than "
          + "\(FirmwareVolume.maximumByteCount) bytes together")
    }
    let slot = MemorySlot(
      number: numbers.take(), guestPhysicalAddress: imageStart,
      byteCount: UInt64(image.byteCount), hostAddress: image.hostAddress)
    let hasManagement = guest.hasSystemManagement
    try kvm { () throws(KVMError) in
      for slot in Self.spaces(of: slot, hasManagement) {
        try machine.setMemorySlot(slot, options: .readOnly)
      }
    }
    guard let chip = guest.variables else {
      (devices, managementDevices) = ([], [])
      return
    }
    let start = imageStart - chipByteCount
    let range = MMIORange(start: start, byteCount: chipByteCount)
    managementDevices = [(range, chip)]
    devices = hasManagement ? [(range, LockedFlash(chip))] : managementDevices
    try Self.connect(
      chip,
      MemorySlot(
        number: numbers.take(), guestPhysicalAddress: start, byteCount: chipByteCount,
        hostAddress: chip.contents.hostAddress),
      machine, hasManagement)
  }

  private static func connect(
    _ chip: FlashChip, _ slot: MemorySlot, _ machine: VirtualMachine, _ hasManagement: Bool
  ) throws(MachineError) {
    let slots = spaces(of: slot, hasManagement)
    try kvm { () throws(KVMError) in
      for slot in slots { try machine.setMemorySlot(slot, options: .readOnly) }
    }
    chip.reset { isReadable in
      for slot in slots {
        // Without the slot reads exit and the chip answers them: slower, and as right.
        if isReadable {
          try? machine.setMemorySlot(slot, options: .readOnly)
        } else {
          // It fails for no slot that is there.
          try? machine.removeMemorySlot(slot)
        }
      }
    }
  }

  private static func spaces(of slot: MemorySlot, _ hasManagement: Bool) -> [MemorySlot] {
    hasManagement ? [slot, slot.inSystemManagementMode] : [slot]
  }
}
