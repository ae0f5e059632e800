internal import Bytes
internal import DeviceKit

/// The structures that a virtio device's capabilities name (*cfg_type*, virtio 1.2 §4.1.4).
enum VirtioStructure: UInt8 {
  case common = 1
  case notify = 2
  case interruptStatus = 3
  case configuration = 4
  case window = 5
}

extension PCIConfigurationSpace {
  /// Adds a *virtio_pci_cap* for a structure in BAR 0.
  ///
  /// - Parameter more: what follows its 16 bytes.
  /// - Returns: its offset.
  @discardableResult
  mutating func addVirtio(
    _ structure: VirtioStructure, _ offset: UInt64, byteCount: UInt32, more: [UInt8] = []
  ) -> Int {
    let head: [UInt8] = [UInt8(16 + more.count), structure.rawValue, 0, 0, 0, 0]
    return addCapability(
      0x09, body: head + [UInt32(offset), byteCount].littleEndianBytes + more)
  }
}

/// The capability by which a driver reaches the BAR without a mapping of it
/// (*VIRTIO_PCI_CAP_PCI_CFG*, virtio 1.2 §4.1.4.9): early firmware has none.
struct VirtioWindow: Sendable {
  private let bar: PCIBAR
  private let capability: Int
  /// *pci_cfg_data*, behind the 16 bytes of a capability.
  private var data: Int { capability + 16 }

  init(_ space: inout PCIConfigurationSpace, bar: PCIBAR) {
    self.bar = bar
    capability = space.addVirtio(.window, 0, byteCount: 0, more: [0, 0, 0, 0])
    space.makeWritable(UInt8.max, at: capability + 4)
    for field in [8, 12, 16] { space.makeWritable(UInt32.max, at: capability + field) }
  }

  /// What is to be accessed, if the access of the configuration reaches the data; nil for a place
  /// or a width that there is not.
  private func target(
    _ offset: Int, _ width: Int, _ device: VirtioPCIDevice
  ) -> (offset: UInt64, width: Int)? {
    guard offset < data + 4, offset + width > data else { return nil }
    return device.configuration.update { space in
      let index: UInt8 = space.value(at: capability + 4)
      let start: UInt32 = space.value(at: capability + 8)
      let count: UInt32 = space.value(at: capability + 12)
      guard Int(index) == bar.index, [1, 2, 4].contains(count), start % count == 0,
        UInt64(start) + UInt64(count) <= bar.byteCount
      else { return nil }
      return (UInt64(start), Int(count))
    }
  }

  func prepareRead(_ offset: Int, _ width: Int, of device: VirtioPCIDevice) {
    guard let target = target(offset, width, device) else { return }
    let value =
      device.endpoint.readBAR(bar.index, offset: target.offset, width: target.width)
      ?? device.readBAR(bar.index, offset: target.offset, width: target.width)
    device.configuration.preset(UInt32(truncatingIfNeeded: value), at: data)
  }

  func passWrite(_ offset: Int, _ width: Int, to device: VirtioPCIDevice) {
    guard let target = target(offset, width, device) else { return }
    let value: UInt32 = device.configuration.value(at: data)
    let mask: UInt64 = (1 << UInt64(8 * target.width)) - 1
    let part = UInt64(value) & mask
    if !device.endpoint.writeBAR(
      bar.index, offset: target.offset, width: target.width, value: part)
    {
      device.writeBAR(bar.index, offset: target.offset, width: target.width, value: part)
    }
  }
}
