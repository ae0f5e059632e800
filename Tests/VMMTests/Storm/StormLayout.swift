import GuestMemory

/// Where things are in the storm's memory, and how the test tells the guest; see `storm.S`.
enum StormLayout {
  static let memoryByteCount: UInt64 = 16 << 20
  /// Every write and every reply goes here: whole words of the dirty log, whole chunks of the map.
  static let arena = GPA(0x80_0000)
  static let arenaPageCount = 512
  static var arenaByteCount: Int { arenaPageCount * 4096 }
  static var firstPage: UInt64 { arena.rawValue / 4096 }

  static let parameters = GPA(0x20_0000)
  /// 32 bits for each page of the arena, outside of it: a discard leaves them alone.
  static let done = GPA(0x20_1000)
  static let hypercallPage: UInt64 = 0x21_0000
  static let callerCount = 2
  static let vcpuCount = 4
  /// A guest writer's writes between two exits.
  static let burst = 16

  /// The words from `parameters` + 64 on.
  static func words(seed: UInt64) -> [UInt64] {
    [
      arena.rawValue, UInt64(arenaPageCount - 1), done.rawValue, hypercallPage,
      UInt64(callerCount), seed, UInt64(burst),
    ]
  }

  /// The arena's page with this number.
  static func address(ofPage page: Int) -> GPA {
    GPA(arena.rawValue + UInt64(page) * 4096)
  }
}
