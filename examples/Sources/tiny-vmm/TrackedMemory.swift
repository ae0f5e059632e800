import GuestMemory
import HyperVCore
import KVM
import ZeroTracker

/// KVM's dirty log as the source of what the guest wrote.
final class DirtyLog: WrittenPageSource {
  private let slots: [MemorySlot]
  private let machine: VirtualMachine

  init(of slots: [MemorySlot], in machine: VirtualMachine) {
    self.slots = slots
    self.machine = machine
  }

  func readWrittenPages(of region: PageRange, into words: inout MutableSpan<UInt64>) throws {
    for slot in slots where slot.guestPhysicalAddress == region.start.rawValue << 12 {
      return try machine.addDirtyLog(of: slot, to: &words)
    }
    // An error means: report nothing.
    throw Unexpected(what: "region at page \(region.start.rawValue)")
  }
}

/// Guest RAM as hypercalls see it. `GuestMemory` marks what is written here.
struct HypercallRAM: HypercallMemory {
  let guest: GuestMemory

  func isWritable(_ address: GuestAddress, byteCount: Int) -> Bool {
    guest.isRAM(GPA(address.rawValue), byteCount: byteCount)
  }

  func write(_ bytes: RawSpan, at address: GuestAddress) -> Bool {
    (try? guest.write(bytes, at: GPA(address.rawValue))) != nil
  }
}
