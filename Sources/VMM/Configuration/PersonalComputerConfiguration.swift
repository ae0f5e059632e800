public import DeviceKit
public import Devices
internal import HostSystem
public import MachineSpecification
public import SMBIOS

/// The devices of a PC that differ from one machine to the next.
public struct PersonalComputerConfiguration: Sendable {
  /// Takes each byte the guest writes to its first serial port, on the vCPU's thread; nil if nobody
  /// reads it.
  public var serialOutput: SerialSink?
  /// Told when the port has room again after it took less than it was given.
  public var onSerialRoom: @Sendable () -> Void = {}
  /// NVMe disks, in the order in which the guest finds them.
  public var disks: [DiskConfiguration] = []
  /// What is shown on a screen; nil for a machine without one.
  public var display: DisplaySpec?
  /// What is on the ports of a SATA adapter, at most `AHCIController.portCounts` allows; empty for
  /// a machine without one. A drive is one object for all machines that a process makes of this
  /// configuration, so that a reset leaves its medium in.
  public var sataPorts: [AHCIController.Port] = []
  /// What is plugged into a USB controller, each once; empty for a machine without one.
  public var usbDevices: [XHCIController.Device] = []
  /// Nil for a machine without a TPM. One value for all machines that a process makes of this
  /// configuration, so that a reset leaves the TPM's state as it is.
  public var tpm: TPMConfiguration?
  /// Network cards, in the order in which the guest finds them.
  public var networks: [NetworkConfiguration] = []
  /// Whether there is a source of random numbers (virtio-rng).
  public var hasRandomNumbers = false
  /// Nil for a machine without a memory balloon (virtio-balloon). One object for all machines that
  /// a process makes of this configuration, so that a reset leaves its target.
  public var balloon: Balloon?
  /// Whether there is VMBus, with integration services and, in place of virtio-balloon, Dynamic
  /// Memory for `balloon`. A Microsoft document of 2012 asks others not to claim it, so it is not
  /// there unless asked for.
  public var hasVMBus = false
  /// Other PCI devices, beside disks and display.
  public var pciDevices: [PCIDeviceConfiguration] = []
  /// Whether the real-time clock has local time, as Windows expects, and not UTC.
  public var clockIsLocal = false
  /// By which the guest finds out that it goes on from what was saved. One object for all machines
  /// that a process makes of this configuration, so that a reset leaves it.
  public var generation = GenerationID()
  /// What the real-time clock's battery has kept (`PersonalComputer.keptClock`); nil for a clock
  /// that shows the host's time.
  public var keptClock: RealTimeClock.Kept?

  // What firmware is told; a kernel that is started directly is not.

  /// The machine's UUID, by which operating systems and licences know it again.
  public var uuid = SystemUUID.none
  /// What the machine calls itself.
  public var smbiosTexts = SMBIOSTexts()
  /// What firmware tries first; empty leaves the order to its variables.
  public var bootOrder: [BootDevice] = []
  /// Files for firmware and operating systems (*fw_cfg*), by name; `opt/...` is free for users.
  public var firmwareFiles: [(name: String, bytes: [UInt8])] = []
  /// The monitor's version, as SMBIOS names it.
  public var version = "1"

  /// No disks, a serial port that drops its output, and the host's time.
  public init() {}
}

/// A device that firmware may start from.
public enum BootDevice: Hashable, Sendable {
  /// An index of `PersonalComputerConfiguration.disks`.
  case disk(Int)
  /// An index of `PersonalComputerConfiguration.sataPorts`.
  case sata(Int)
}

/// A disk of a PC: what is behind it, and what it is called.
public struct DiskConfiguration: Sendable {
  /// Where its data is.
  public var store: any BlockStore
  /// The serial number, by which guests tell disks apart (`DiskSpec.isSerial`): another one for
  /// each disk of a machine. The disk's other identifiers are made from it.
  public var serial: String
  /// What its log pages tell: one object for all machines that a process makes of this
  /// configuration, so that a reset forgets nothing.
  public var history = NVMeHistory(nanoseconds: HostClock.monotonicNanoseconds)

  /// A disk with no history.
  public init(_ store: any BlockStore, serial: String) {
    self.store = store
    self.serial = serial
  }
}

/// A TPM 2.0 of a PC: what answers its commands, and what a reset leaves as it is.
public struct TPMConfiguration: Sendable {
  public var backend: any TPMBackend
  /// How an operating system asks firmware to change the TPM's settings at the next start.
  public var physicalPresence = PhysicalPresenceMemory()

  /// A TPM without pending requests.
  public init(_ backend: any TPMBackend) {
    self.backend = backend
  }
}

/// A network card.
public struct NetworkConfiguration: Sendable {
  public var card: NetworkCardSpec
  /// The card's own, 6 bytes in the order they go over the wire.
  public var address: [UInt8]
  /// The far end of its cable: one object for all machines that a process makes of this
  /// configuration.
  public var backend: any NetworkBackend

  public init(_ card: NetworkCardSpec, address: [UInt8], backend: any NetworkBackend) {
    self.card = card
    self.address = address
    self.backend = backend
  }
}

/// A PCI device of a PC: where it is, and how it is made. A reset makes a new one.
public struct PCIDeviceConfiguration: Sendable {
  /// The slot, 1 to 30; nil for the first one that is free, after the disks. A display has 30,
  /// a SATA adapter 29, a USB controller 28, network cards 27 and downwards, a source of random
  /// numbers 19.
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
