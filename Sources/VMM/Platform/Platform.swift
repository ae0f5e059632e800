internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import KVM

/// What is around vCPUs and memory: buses with devices, and how the guest starts.
struct Platform {
  let ports: PortBus
  let mmio: MMIOBus
  /// What vCPUs in system management mode find in its place; the same without that mode.
  let managementMMIO: MMIOBus
  let boot: any MachineBoot
  /// Nil for a flat program, which has the configuration's port devices only.
  let computer: PersonalComputer?

  /// Builds the devices. The machine has its interrupt controllers already.
  ///
  /// - Parameters:
  ///   - busPort: how VMBus reaches the guest; nil without it.
  ///   - growth: what adds memory.
  init(
    _ configuration: MachineConfiguration, memory guest: GuestMemory, machine: VirtualMachine,
    numbers: MemorySlotNumbers, control: MachineControl, busPort: (any VMBusPort)? = nil,
    growth: any GuestMemoryGrowth
  ) throws(MachineError) {
    var portDevices = configuration.portDevices
    let memoryDevices = configuration.memoryDevices
    switch configuration.image {
    case .program(let program):
      boot = try BootPlan(
        program: program, layout: guest.layout, vcpuCount: configuration.vcpuCount)
      computer = nil
    case .linux(let linux):
      let computer = try PersonalComputer(
        configuration, memory: guest, machine: machine, numbers: numbers, control: control,
        busPort: busPort, growth: growth)
      boot = try computer.boot(linux, layout: guest.layout)
      self.computer = computer
    case .firmware(let firmware):
      computer = try PersonalComputer(
        configuration, firmware: firmware, memory: guest, machine: machine, numbers: numbers,
        control: control, busPort: busPort, growth: growth)
      boot = FirmwareBoot()
    }
    if let computer { portDevices += computer.portDevices }
    do {
      ports = try PortBus(portDevices, decoder: computer?.portDecoder)
      mmio = try MMIOBus(
        memoryDevices + (computer?.memoryDevices ?? []), decoder: computer?.memoryDecoder)
      managementMMIO =
        computer?.management == nil
        ? mmio
        : try MMIOBus(
          memoryDevices + (computer?.managementDevices ?? []), decoder: computer?.memoryDecoder)
    } catch {
      throw .configuration(error.description)
    }
  }
}
