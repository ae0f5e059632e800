import BenchmarkGuests
import KVM

/// A VM with one vCPU that stores to memory as ordered.
///
/// Slot 0 holds program and page tables, slot 1 the memory that is measured, at GPA 4 GiB. The
/// guest maps both to themselves by 2 MiB pages, so that KVM may do the same.
struct WriterGuest: ~Copyable {
  static let memoryAddress: UInt64 = 4 << 30

  private static let codeAddress = 0x3000
  private static let descriptorTableAddress = 0x1000
  private static let tablesAddress = 0x10000

  let machine: VirtualMachine
  /// The memory that is measured.
  let slot: MemorySlot
  /// How long it took to register that memory.
  let registration: Samples
  private let control: HostPages
  private let memory: HostPages
  private var vcpu: VCPU

  /// - Parameter options: of the slot of `memory`, from its creation.
  init(memory: HostPages, options: MemorySlot.Options) throws {
    let system = try KVMSystem()
    let machine = try system.makeVirtualMachine()
    try machine.setReservedPages(identityMapAddress: 0xFEFF_C000, taskStateAddress: 0xFEFF_D000)
    guard try machine.enableManualDirtyLogProtect() else {
      throw BenchmarkError("this KVM has no manual protect of the dirty log")
    }
    let control = try Self.makeControl(memory: memory)
    try machine.setMemorySlot(
      MemorySlot(
        number: 0, guestPhysicalAddress: 0, byteCount: UInt64(control.byteCount),
        hostAddress: control.address), options: [])
    let slot = MemorySlot(
      number: 1, guestPhysicalAddress: Self.memoryAddress, byteCount: UInt64(memory.byteCount),
      hostAddress: memory.address)
    var registration = Samples()
    try registration.measure { () throws(KVMError) in
      try machine.setMemorySlot(slot, options: options)
    }
    var vcpu = try machine.makeVCPU(id: 0)
    try vcpu.setCPUID(system.supportedCPUID())
    try Self.enterLongMode(vcpu)
    try Self.run(&vcpu, to: WRITER_PORT_BEGIN)
    try Self.run(&vcpu, to: WRITER_PORT_END)
    self.machine = machine
    self.slot = slot
    self.registration = registration
    self.control = control
    self.memory = memory
    self.vcpu = vcpu
  }

  /// Program, page tables and orders for one store, to a page of slot 0.
  private static func makeControl(memory: HostPages) throws(BenchmarkError) -> HostPages {
    let tables = WriterPageTables(at: tablesAddress, memoryByteCount: memory.byteCount)
    let control = try HostPages(byteCount: tables.endAddress, kind: .small)
    tables.write(to: control)
    control.store(descriptorTable, at: descriptorTableAddress)
    control.store(bytes: program, at: codeAddress)
    control.store([0x4000, 1, 8], at: Int(WRITER_ORDERS))
    return control
  }

  /// One 8-byte store every `stride` bytes, over all memory; the time between two exits.
  mutating func store(stride: Int) throws -> Duration {
    control.store(
      [Self.memoryAddress, UInt64(memory.byteCount / stride), UInt64(stride)],
      at: Int(WRITER_ORDERS))
    try Self.run(&vcpu, to: WRITER_PORT_BEGIN)
    let clock = ContinuousClock()
    let start = clock.now
    try Self.run(&vcpu, to: WRITER_PORT_END)
    return start.duration(to: clock.now)
  }

  private static func run(_ vcpu: inout VCPU, to port: Int32) throws {
    while true {
      switch try vcpu.run() {
      case .portOut(let access) where Int32(access.port) == port: return
      case .interrupted: continue
      case let exit:
        throw BenchmarkError("the guest ended with \(exit)")
      }
    }
  }

  /// 64-bit mode, ring 0, at the program's first byte.
  private static func enterLongMode(_ vcpu: borrowing VCPU) throws(KVMError) {
    var system = try vcpu.systemRegisters()
    let data = SegmentRegister.flat(selector: 0x10, type: 0x3)
    system.cs = .flat(selector: 0x08, type: 0xB, isLong: true)
    system.ds = data
    system.es = data
    system.fs = data
    system.gs = data
    system.ss = data
    system.gdt = DescriptorTableRegister(
      base: UInt64(descriptorTableAddress), limit: UInt16(descriptorTable.count * 8 - 1))
    system.idt = DescriptorTableRegister(base: 0, limit: 0)
    system.cr0 = 0x8000_0031  // PG, NE, ET, PE
    system.cr3 = UInt64(tablesAddress)
    system.cr4 = 0x20  // PAE
    system.efer = 0x501  // LMA, LME, SCE
    try vcpu.setSystemRegisters(system)
    var general = GeneralRegisters()
    general.rip = UInt64(codeAddress)
    try vcpu.setGeneralRegisters(general)
  }

  /// Null, kernel code and data, then user code32, data and code64 in the order `sysret` wants.
  private static let descriptorTable: [UInt64] = [
    0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF,
    0x00CF_FB00_0000_FFFF, 0x00CF_F300_0000_FFFF, 0x00AF_FB00_0000_FFFF,
  ]

  private static var program: [UInt8] {
    // SAFETY: start and length of one constant object.
    unsafe Array(UnsafeBufferPointer(start: guest_writer_bytes(), count: guest_writer_byte_count()))
  }
}
