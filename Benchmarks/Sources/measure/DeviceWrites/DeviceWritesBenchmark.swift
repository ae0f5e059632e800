import Floors
import GuestMemory
import ZeroTracker

/// A device's write to guest memory, which marks the page as touched before it changes, against
/// `memcpy` alone.
///
/// Both write the same memory, all of it touched before, as a device's buffers are but for the
/// first time. Cases: 512 bytes and 4 KiB, to memory that fits the second-level cache (256 KiB) and
/// to memory that fits none (256 MiB); one thread, and two that write to memory of their own.
struct DeviceWritesBenchmark {
  let rounds: Int

  private static let placements = [(256 << 10, "in cache"), (256 << 20, "in memory")]
  private static let memoryByteCount = 512 << 20

  func run() throws {
    print("## device writes: `GuestMemory.write` against memcpy\n")
    print("\(Host.description)\n\(rounds) rounds, in turn\n")
    let guest = try GuestMemory(
      layout: try GuestMemoryLayout(ramByteCount: UInt64(Self.memoryByteCount)),
      preallocated: true)
    let claimed = try guest.claim(
      at: GPA(0), byteCount: Self.memoryByteCount, owner: "plain C")
    var section = Section("device writes")
    for byteCount in [512, 4096] {
      for (area, where_) in Self.placements {
        for threadCount in [1, 2] {
          let writers = (0..<threadCount).map {
            DeviceWriter(
              guest: guest, claimed: claimed, start: $0 * area, areaByteCount: area,
              byteCount: byteCount)
          }
          let samples = try measure(writers)
          let name =
            "\(binaryUnits(byteCount)), \(where_), \(threadCount) thread\(threadCount == 1 ? "" : "s")"
          section.add(
            Figure(
              name: name, unit: "ns", samples: samples.guest.nanoseconds(per: writers[0].count),
              floor: ("memcpy", samples.plain.nanoseconds(per: writers[0].count)),
              goal: byteCount == 4096 ? 1.05 : nil))
        }
      }
    }
    try section.finish()
  }

  /// The first round of each is not counted. Who goes first finds what the other left in the
  /// caches, so both do by turns.
  private func measure(
    _ writers: [DeviceWriter]
  ) throws -> (guest: Samples, plain: Samples) {
    var guest = Samples()
    var plain = Samples()
    for round in 0...rounds {
      for isGuest in round % 2 == 0 ? [true, false] : [false, true] {
        let time = try Threads.time(writers) {
          if isGuest { $0.writeGuestMemory() } else { $0.copy() }
        }
        guard round > 0 else { continue }
        if isGuest { guest.add(time) } else { plain.add(time) }
      }
    }
    return (guest, plain)
  }
}
