public import DeviceKit

/// A PCI device of a PC: where it is, and how it is made. A reset makes a new one.
public struct PCIDeviceConfiguration: Sendable {
  /// The slot, 1 to 30; nil for the first one that is free, after the disks.
  public var slot: UInt8?
  /// Makes the device with what the machine has for it: its interrupt line is that of INTA#.
  public var make: @Sendable (PCIContext) throws(DeviceError) -> any PCIFunction

  public init(
    slot: UInt8? = nil,
    make: @escaping @Sendable (PCIContext) throws(DeviceError) -> any PCIFunction
  ) {
    self.slot = slot
    self.make = make
  }
}

/// Gives devices their slots.
enum PCISlots {
  /// A slot for each device: those that are asked for first, then the first free ones in order.
  static func places(
    for devices: [PCIDeviceConfiguration], in slots: ClosedRange<UInt8>
  ) throws(MachineError) -> [UInt8] {
    guard devices.count <= slots.count else {
      throw .configuration(
        "\(devices.count) disks and other PCI devices: at most \(slots.count) fit")
    }
    var taken: Set<UInt8> = []
    for slot in devices.compactMap(\.slot) {
      guard slots.contains(slot) else {
        throw .configuration(
          "PCI slot \(slot): \(slots.lowerBound) to \(slots.upperBound) are possible")
      }
      guard taken.insert(slot).inserted else {
        throw .configuration("two PCI devices in slot \(slot)")
      }
    }
    var free = slots.filter { !taken.contains($0) }.makeIterator()
    // There are as many slots as devices.
    return devices.map { $0.slot ?? free.next() ?? slots.upperBound }
  }
}
