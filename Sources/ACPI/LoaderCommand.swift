internal import Bytes

/// One command of the *BIOS linker loader*, 128 bytes. Source: QEMU's hw/acpi/bios-linker-loader.c,
/// as edk2's QemuLoader.h describes it too.
struct LoaderCommand: Hashable, Sendable {
  /// Where memory for a file may be. OVMF chooses by itself.
  enum Zone: UInt8 {
    case high = 1
    /// 0xF0000–0xFFFFF, where a legacy operating system searches.
    case biosSegment = 2
  }

  private static let byteCount = 128
  private static let nameByteCount = 56

  let bytes: [UInt8]

  /// Pads with zeroes.
  private init(_ number: UInt32, _ fields: [UInt8]...) {
    let used = number.littleEndianBytes + fields.flatMap { $0 }
    bytes = used + [UInt8](repeating: 0, count: Self.byteCount - used.count)
  }

  /// Loads a file to memory of its own.
  static func allocate(_ file: String, alignment: Int, zone: Zone) -> LoaderCommand {
    LoaderCommand(1, name(file), UInt32(alignment).littleEndianBytes, [zone.rawValue])
  }

  /// Adds where `target` was loaded to the little-endian integer in `file`.
  static func addPointer(
    in file: String, byteOffset: Int, byteCount: Int, to target: String
  ) -> LoaderCommand {
    LoaderCommand(
      2, name(file), name(target), UInt32(byteOffset).littleEndianBytes, [UInt8(byteCount)])
  }

  /// Makes the bytes from `start` on add up to 0, by the one at `byteOffset`, which is 0 before.
  static func addChecksum(
    in file: String, byteOffset: Int, start: Int, byteCount: Int
  ) -> LoaderCommand {
    LoaderCommand(
      3, name(file), UInt32(byteOffset).littleEndianBytes, UInt32(start).littleEndianBytes,
      UInt32(byteCount).littleEndianBytes)
  }

  private static func name(_ file: String) -> [UInt8] {
    let utf8 = Array(file.utf8)
    precondition(utf8.count < nameByteCount, "file name \(file)")
    return utf8 + [UInt8](repeating: 0, count: nameByteCount - utf8.count)
  }
}
