import KVM

/// A VM of one vCPU and one slot at GPA 0, about to run a few bytes of machine code at 0x1000.
struct TinyGuest: ~Copyable {
  enum Mode {
    /// 16 bits; DS and ES begin at 0.
    case real
    /// 32 bits, flat, without paging and without IDT: any exception is a triple fault.
    case protected
  }

  static let codeAddress = 0x1000

  let machine: VirtualMachine
  let memory: GuestPages
  let slot: MemorySlot
  var vcpu: VCPU

  init(
    _ code: [UInt8], mode: Mode = .real, pageCount: Int = 16, options: MemorySlot.Options = [],
    prepare: (VirtualMachine) throws -> Void = { _ in }
  ) throws {
    let machine = try KVMSystem().makeVirtualMachine()
    try prepare(machine)
    let memory = GuestPages(pageCount: pageCount)
    memory.store(code, at: Self.codeAddress)
    let slot = MemorySlot(
      number: 0, guestPhysicalAddress: 0, byteCount: UInt64(memory.byteCount),
      hostAddress: memory.address)
    try machine.setMemorySlot(slot, options: options)
    let vcpu = try machine.makeVCPU(id: 0)
    var registers = try vcpu.systemRegisters()
    switch mode {
    case .real:
      registers.cs.base = 0
      registers.cs.selector = 0
    case .protected:
      registers.cr0 |= 1
      registers.cs = .flat(selector: 8, type: 0xB)
      let data = SegmentRegister.flat(selector: 16, type: 3)
      registers.ds = data
      registers.es = data
      registers.ss = data
      registers.idt = DescriptorTableRegister(base: 0, limit: 0)
    }
    try vcpu.setSystemRegisters(registers)
    var start = GeneralRegisters()
    start.rip = UInt64(Self.codeAddress)
    try vcpu.setGeneralRegisters(start)
    self.machine = machine
    self.memory = memory
    self.slot = slot
    self.vcpu = vcpu
  }

  /// Begins the code anew, with all registers zero but those that `change` sets.
  mutating func restart(_ change: (inout GeneralRegisters) -> Void = { _ in }) throws {
    var registers = GeneralRegisters()
    registers.rip = UInt64(Self.codeAddress)
    change(&registers)
    try vcpu.setGeneralRegisters(registers)
  }

  /// Moves DS, so that real-mode code reaches any GPA.
  mutating func setDataBase(_ base: UInt64) throws {
    var registers = try vcpu.systemRegisters()
    registers.ds.base = base
    registers.es.base = base
    try vcpu.setSystemRegisters(registers)
  }

  /// The slot's dirty log as page numbers, but for the page of the code: with nested paging KVM
  /// maps a page writable, and logs it, when the guest reads it and this process wrote it before.
  func dirtyPages() throws -> [Int] {
    var words = [UInt64](repeating: ~0, count: (Int(slot.pageCount) + 63) / 64)
    var span = words.mutableSpan
    try machine.readDirtyLog(of: slot, into: &span)
    let codePage = Int(Self.codeAddress / 4096)
    return (0..<words.count * 64).filter { page in
      let bit = words[page / 64] >> UInt64(page % 64) & 1
      return bit == 1 && page != codePage
    }
  }
}
