internal import GuestPrograms

/// The programs that come with `vmm-run`, as flat images.
enum GuestProgram {
  /// Behaves as Windows does at boot: asks which memory is zero, and zeroes the rest.
  static var demo: [UInt8] {
    unsafe bytes(unsafe guest_demo_bytes(), guest_demo_byte_count())
  }

  // SAFETY of every caller: pointer and count are those of one assembled section.
  private static func bytes(_ start: UnsafePointer<UInt8>, _ count: Int) -> [UInt8] {
    unsafe Array(unsafe UnsafeBufferPointer(start: start, count: count))
  }
}
