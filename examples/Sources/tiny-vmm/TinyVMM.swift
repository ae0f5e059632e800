import DeviceKit
import Foundation
import GuestMemory
import HyperVCore
import KVM
import Synchronization

/// A VMM for one vCPU: RAM whose writes are tracked, Hyper-V's interface in userspace, a device.
@main
struct TinyVMM {
  static func main() {
    do {
      let report = try run()
      print("status of 0x8002: \(report.status.map { "\($0)" } ?? "the guest did not ask")")
      for range in report.ranges {
        print("the guest was given pages \(range.lowerBound)..<\(range.upperBound) as zero")
      }
      exit(report.status == .success ? 0 : 1)
    } catch {
      FileHandle.standardError.write(Data("tiny-vmm: \(error)\n".utf8))
      exit(1)
    }
  }

  private static func run() throws -> GuestReport.Contents {
    let system = try KVMSystem()
    let machine = try system.makeVirtualMachine()
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: 64 << 20))
    // Slots log from their creation on: nothing the guest writes is missed. With manual protect a
    // read leaves the log as it is.
    _ = try machine.enableManualDirtyLogProtect()
    try memory.registerSlots { regions in
      let slots = regions.enumerated().map { number, region in
        MemorySlot(
          number: UInt32(number), guestPhysicalAddress: region.start.rawValue,
          byteCount: region.byteCount, hostAddress: region.hostAddress)
      }
      for slot in slots { try machine.setMemorySlot(slot, options: .logsDirtyPages) }
      return DirtyLog(of: slots, in: machine)
    }
    // This is a write of the VMM: it marks the page, which is then not reported.
    try memory.write(Guest.code, at: GPA(Guest.entry))
    // Hyper-V's MSRs exit to this process, also on a KVM that knows them.
    let canFilter = machine.value(of: .msrFilter) > 0
    try machine.sendMSRExits(for: canFilter ? [.unknown, .filtered] : .unknown)
    if canFilter { try machine.denyMSRs(SyntheticMSR.range) }

    let report = GuestReport()
    let ports = try PortBus([(PortRange(start: Guest.reportPort, count: 12), report)])
    let vcpu = try makeVCPU(of: machine, system: system)
    let processor = Processor(memory: memory, ports: ports, tscKilohertz: vcpu.tscKilohertz())

    // A vCPU belongs to one thread. It moves there through a mutex.
    let handover = Mutex<VCPU?>(vcpu)
    let outcome = Mutex<Result<Void, any Error>>(.success(()))
    let done = DispatchSemaphore(value: 0)
    Thread.detachNewThread { [processor] in
      var processor = processor
      if var vcpu = handover.withLock({ $0.take() }) {
        vcpu.bindToCurrentThread()
        do { try processor.run(&vcpu) } catch { outcome.withLock { $0 = .failure(error) } }
      }
      done.signal()
    }
    done.wait()
    try outcome.withLock { $0 }.get()
    return report.contents
  }

  /// A vCPU in 32-bit protected mode without paging, whose CPUID shows Hyper-V's interface.
  private static func makeVCPU(of machine: VirtualMachine, system: KVMSystem) throws -> VCPU {
    let vcpu = try machine.makeVCPU(id: 0)
    let leaves = try HyperVCPUID(
      enlightenments: Processor.enlightenments, virtualProcessorCount: 1, locksHypercallMSR: true
    ).leaves
    var table = try system.supportedCPUID().filter { $0.function >> 28 != 4 }
    for index in table.indices where table[index].function == 1 { table[index].ecx |= 1 << 31 }
    table += leaves.map {
      CPUIDEntry(function: $0.function, eax: $0.eax, ebx: $0.ebx, ecx: $0.ecx, edx: $0.edx)
    }
    try vcpu.setCPUID(table)
    var system = try vcpu.systemRegisters()
    system.cr0 = 0x11  // PE, ET
    system.cs = .flat(selector: 0x08, type: 0xB)
    let data = SegmentRegister.flat(selector: 0x10, type: 0x3)
    (system.ds, system.es, system.ss) = (data, data, data)
    try vcpu.setSystemRegisters(system)
    var general = GeneralRegisters()
    general.rip = Guest.entry
    general.rsp = Guest.stackTop
    try vcpu.setGeneralRegisters(general)
    return vcpu
  }
}
