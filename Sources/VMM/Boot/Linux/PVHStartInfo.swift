internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// What a PVH kernel is told in EBX: hvm_start_info of version 1, its module list and memory map.
///
/// Source: Xen, public/arch-x86/hvm/start_info.h.
struct PVHStartInfo {
  /// XEN_HVM_START_MAGIC_VALUE.
  static let magic: UInt32 = 0x336E_C578
  private static let modulesOffset = 0x40
  private static let mapOffset = 0x60

  let address: GPA
  let initrd: Range<UInt64>?
  let commandLineAddress: UInt64
  let memoryMap: E820Map
  /// 0 for none.
  let rootPointer: UInt64

  /// The structure, then the one module at 0x40 and the map at 0x60.
  var encoded: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.mapOffset + memoryMap.entries.count * 24)
    let modules = address.rawValue + UInt64(Self.modulesOffset)
    bytes.storeLE(Self.magic, at: 0)
    bytes.storeLE(UInt32(1), at: 4)  // version; flags at 8 are 0
    bytes.storeLE(UInt32(initrd == nil ? 0 : 1), at: 12)  // nr_modules
    bytes.storeLE(initrd == nil ? UInt64(0) : modules, at: 16)  // modlist_paddr
    bytes.storeLE(commandLineAddress, at: 24)  // cmdline_paddr
    bytes.storeLE(rootPointer, at: 32)  // rsdp_paddr
    bytes.storeLE(address.rawValue + UInt64(Self.mapOffset), at: 40)  // memmap_paddr
    bytes.storeLE(UInt32(memoryMap.entries.count), at: 48)  // memmap_entries
    if let initrd {
      // paddr and size; no command line of its own.
      bytes.storeLE(initrd.lowerBound, at: Self.modulesOffset)
      bytes.storeLE(UInt64(initrd.count), at: Self.modulesOffset + 8)
    }
    for (index, entry) in memoryMap.entries.enumerated() {
      let offset = Self.mapOffset + index * 24
      bytes.storeLE(entry.start.rawValue, at: offset)
      bytes.storeLE(entry.byteCount, at: offset + 8)
      bytes.storeLE(entry.kind.rawValue, at: offset + 16)
    }
    return bytes
  }
}
