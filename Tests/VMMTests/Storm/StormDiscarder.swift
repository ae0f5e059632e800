import Glibc
import GuestMemory
import Synchronization
import VMM

/// Makes the arena zero and reportable again, under everybody's hands.
struct StormDiscarder {
  let memory: GuestMemory
  let checker: StormChecker
  let arena: RawArena
  private var noted = [UInt32](repeating: 0, count: StormLayout.arenaPageCount)

  init(memory: GuestMemory, checker: StormChecker, arena: RawArena) {
    self.memory = memory
    self.checker = checker
    self.arena = arena
  }

  /// One epoch ends, the next one begins.
  mutating func discard() throws {
    let odd = checker.epoch.load(0) + 1
    checker.epoch.store(odd, at: 0)
    try memory.discard(at: StormLayout.arena, byteCount: StormLayout.arenaByteCount)
    checker.epoch.store(odd + 1, at: 0)
    checker.counts.discards.count()
    witness(odd)
  }

  /// Notes pages that were written while the discard went on and have bytes after it: they were
  /// seen, in the new epoch, and keep their bytes until the next.
  private mutating func witness(_ odd: UInt32) {
    checker.done.copy(into: &noted)
    var page = 0
    while let found = WordSearch.first(odd, in: noted, page..<noted.count) {
      if !arena.isZero(page: found) {
        checker.done.store(odd + 1, at: found)
        checker.counts.witnessed.count()
      }
      page = found + 1
    }
  }
}
