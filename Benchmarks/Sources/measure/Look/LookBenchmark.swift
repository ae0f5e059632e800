import Floors
import Glibc
import GuestMemory
import ZeroTracker

/// Answers to 0x8002 by looking at memory (`PopulationSource`), against plain C that asks the same
/// of the kernel and reads the same pages.
///
/// 64 GiB and 1 TiB of private memory, none of it preallocated, in which a guest has 300 MiB: in
/// clusters of 256 KiB at random places, a word at the start of each page, or in each page's last
/// word. Everything is read: the budget is not the default one, whose answer is measured besides.
struct LookBenchmark {
  let repetitions: Int

  private static let clusterCount = 1200
  private static let clusterPageCount = 64
  /// Far more than there is to read.
  private static let everything = GuestMemory.RefinementBudget(readByteCount: 4 << 30)

  func run() throws {
    print("## look: an answer from what is populated against plain C (-O2)\n")
    print("\(Host.description)\n\(repetitions) repetitions\n")
    for byteCount in [64 << 30, 1 << 40] as [UInt64] {
      var section = Section("300 MiB of \(binaryUnits(Int(byteCount))) populated")
      for (name, offset) in [("first word", 0), ("last word", 4088)] as [(String, UInt64)] {
        section.add(try measure(name, byteCount, offset: offset))
      }
      try section.finish()
    }
  }

  private func measure(
    _ name: String, _ byteCount: UInt64, offset: UInt64
  ) throws -> Figure {
    let memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: byteCount))
    memory.tracker.attach(source: try memory.populationSource(Self.everything))
    let populated = try populate(memory, offset: offset)
    var (looks, floor) = (Samples(), Samples())
    for _ in 0..<repetitions {
      let pages = looks.measure { () -> UInt64 in
        memory.refine(Self.everything)
        return memory.tracker.zeroedRanges(replyPage: nil, limit: .max).reduce(0) {
          $0 + $1.pageCount
        }
      }
      var found: Int64 = 0
      floor.measure {
        memory.registerSlots { regions in
          for region in regions {
            // SAFETY: the region's memory, which is read alone.
            found += unsafe look_floor(
              UnsafePointer(bitPattern: region.hostAddress)!, Int(region.byteCount))
          }
          return nil
        }
      }
      guard found == populated, pages == byteCount / 4096 - UInt64(populated) else {
        throw BenchmarkError("\(name): \(populated) pages written, C found \(found), \(pages) zero")
      }
    }
    return Figure(
      name: name, unit: "ms", samples: looks.scaled(by: 1e3),
      floor: ("plain C", floor.scaled(by: 1e3)))
  }

  /// Writes a word to each page of the clusters; how many pages have one.
  private func populate(_ memory: GuestMemory, offset: UInt64) throws -> Int64 {
    var generator = Generator(seed: 7)
    var pages: Set<UInt64> = []
    let regions = memory.layout.regions
    for cluster in 0..<Self.clusterCount {
      // A quarter of them below the gap.
      let region = regions[cluster % 4 == 0 ? 0 : regions.count - 1].pages
      let place = UInt64.random(
        in: 0...(region.pageCount - UInt64(Self.clusterPageCount)), using: &generator)
      for page in 0..<UInt64(Self.clusterPageCount) {
        let number = region.start.rawValue + place + page
        try memory.store(1 as UInt64, at: GPA(number << 12 + offset))
        pages.insert(number)
      }
    }
    return Int64(pages.count)
  }
}
