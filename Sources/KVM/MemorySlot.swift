/// A KVM memory slot: guest physical memory backed by a mapping of this process.
///
/// Source: KVM API, KVM_SET_USER_MEMORY_REGION.
public struct MemorySlot: Hashable, Sendable {
  /// What KVM does with the slot.
  public struct Options: OptionSet, Hashable, Sendable {
    /// KVM_MEM_* bits.
    public let rawValue: UInt32

    /// Any bits; the kernel refuses those that it does not know.
    public init(rawValue: UInt32) {
      self.rawValue = rawValue
    }

    /// KVM_MEM_LOG_DIRTY_PAGES. Given when the slot is created, the log begins empty and so holds
    /// every page the guest wrote since; given later it begins with unknown history. With nested
    /// paging it may also name pages that the guest only read and this process wrote before.
    public static let logsDirtyPages = Options(rawValue: 1 << 0)
    /// KVM_MEM_READONLY: guest writes exit as MMIO.
    public static let readOnly = Options(rawValue: 1 << 1)
  }

  /// The slot's number, unique in its VM.
  public let number: UInt32
  /// First GPA in bytes; a multiple of 4096.
  public let guestPhysicalAddress: UInt64
  /// Length in bytes; a multiple of 4096.
  public let byteCount: UInt64
  /// Where the mapping begins in this process. The owner of the slot keeps the mapping alive
  /// for as long as the VM exists.
  public let hostAddress: UInt

  /// Describes a slot. The kernel checks alignment and overlap when it is registered.
  public init(number: UInt32, guestPhysicalAddress: UInt64, byteCount: UInt64, hostAddress: UInt) {
    self.number = number
    self.guestPhysicalAddress = guestPhysicalAddress
    self.byteCount = byteCount
    self.hostAddress = hostAddress
  }

  /// The same memory at the same addresses for vCPUs in system management mode: KVM's address space
  /// 1, whose slots have numbers of their own (bits 31:16). Source: KVM API,
  /// KVM_CAP_MULTI_ADDRESS_SPACE.
  public var inSystemManagementMode: MemorySlot {
    MemorySlot(
      number: number | 1 << 16, guestPhysicalAddress: guestPhysicalAddress, byteCount: byteCount,
      hostAddress: hostAddress)
  }

  /// How many 4 KiB pages the slot has.
  public var pageCount: UInt64 { byteCount / 4096 }

  var summary: String {
    "slot \(number), GPA 0x\(String(guestPhysicalAddress, radix: 16)), \(byteCount) bytes"
  }
}
