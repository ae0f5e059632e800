internal import Bytes
internal import DeviceKit
internal import GuestMemory

/// The page that the 64-bit boot protocol hands over: boot_params, the *zero page*.
///
/// Source: Documentation/arch/x86/zero-page.rst and boot.rst.
struct BootParameters {
  static let byteCount = 4096
  private static let rootPointerOffset = 0x070
  private static let mapCountOffset = 0x1E8
  private static let mapOffset = 0x2D0
  /// The longest map that it takes.
  private static let maximumMapCount = 128

  let image: BzImage
  let loadAddress: UInt64
  let initrd: Range<UInt64>?
  let commandLineAddress: UInt64
  let memoryMap: E820Map
  /// 0 for none.
  let rootPointer: UInt64

  var encoded: [UInt8] {
    precondition(memoryMap.entries.count <= Self.maximumMapCount, "\(memoryMap.entries.count)")
    var page = [UInt8](repeating: 0, count: Self.byteCount)
    let header = BzImage.headerStart..<(BzImage.headerStart + image.header.count)
    page.replaceSubrange(header, with: image.header)

    page.storeLE(rootPointer, at: Self.rootPointerOffset)
    page.storeLE(UInt16(0xFFFF), at: SetupField.videoMode.offset)  // "normal"
    page.storeLE(UInt8(0xFF), at: SetupField.loaderType.offset)  // none of the assigned
    // Addresses below 2 GiB: they fit.
    page.storeLE(UInt32(loadAddress), at: SetupField.code32Start.offset)
    page.storeLE(UInt32(initrd?.lowerBound ?? 0), at: SetupField.initrdAddress.offset)
    page.storeLE(UInt32(initrd?.count ?? 0), at: SetupField.initrdByteCount.offset)
    page.storeLE(UInt32(commandLineAddress), at: SetupField.commandLineAddress.offset)
    // A list in guest memory that is the loader's to make; an image's value would be followed.
    page.storeLE(UInt64(0), at: SetupField.setupData.offset)

    page.storeLE(UInt8(memoryMap.entries.count), at: Self.mapCountOffset)
    for (index, entry) in memoryMap.entries.enumerated() {
      let offset = Self.mapOffset + index * 20
      page.storeLE(entry.start.rawValue, at: offset)
      page.storeLE(entry.byteCount, at: offset + 8)
      page.storeLE(entry.kind.rawValue, at: offset + 16)
    }
    return page
  }
}
