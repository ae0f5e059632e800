import Synchronization
import TestSupport
import Testing
import ZeroTracker

/// Threads that write while another answers.
@Suite struct ConcurrencyTests {
  @Test(
    .timeLimit(.minutes(10)), arguments: [4096, 65536, 2 << 20] as [UInt64], [false, true])
  func noAnswerBreaksTheLaw(byteCount: UInt64, isDiscarding: Bool) async throws {
    for seed in 0..<8 as Range<UInt64> {
      let machine = try FakeMachine(granularity: granularity(byteCount))
      // How many writers still write; answers go on until there is none.
      let writers = Counter(2)
      await withTaskGroup(of: Void.self) { group in
        for writer in 0..<2 as Range<UInt64> {
          group.addTask {
            var random = SeededGenerator(seed: seed * 2 + writer)
            for _ in 0..<1500 {
              let page = Int.random(in: 0..<FakeMachine.pageCount, using: &random)
              if Bool.random(using: &random) {
                machine.writeAsGuest(page)
              } else {
                machine.writeAsVMM(page)
              }
            }
            writers.value.subtract(1, ordering: .sequentiallyConsistent)
          }
        }
        if isDiscarding {
          group.addTask {
            var random = SeededGenerator(seed: seed + 1000)
            while writers.value.load(ordering: .sequentiallyConsistent) > 0 {
              let start = UInt64.random(in: 0..<3000, using: &random)
              machine.discard(pages(start, UInt64.random(in: 0..<1000, using: &random)))
              await Task.yield()
            }
          }
        }
        group.addTask {
          var random = SeededGenerator(seed: seed + 2000)
          repeat {
            let reply = Int.random(in: 0..<FakeMachine.pageCount, using: &random)
            let page = machine.answerBreakingTheLaw(replyPage: reply)
            #expect(page == nil, "seed \(seed)")
          } while writers.value.load(ordering: .sequentiallyConsistent) > 0
        }
      }
      // At rest the same must hold, now without a discard in between.
      let page = machine.answerBreakingTheLaw(replyPage: 0)
      #expect(page == nil, "seed \(seed), at rest")
    }
  }

  /// Bits of one word set by several threads at once: none is lost.
  @Test func noMarkIsLost() async throws {
    for _ in 0..<20 {
      let (tracker, _) = try makeTracker([pages(0, 4096)])
      await withTaskGroup(of: Void.self) { group in
        for thread in 0..<4 as Range<UInt64> {
          group.addTask {
            for page in stride(from: thread, to: 4096, by: 4) {
              tracker.markTouched(pages(page, 1))
            }
          }
        }
      }
      #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
    }
  }

  /// Everything at once, without a crash, and silence after the end.
  @Test func stopAmongAnswersAndMarks() async throws {
    let (tracker, _) = try makeTracker([pages(0, 100_000)])
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        for page in 0..<1000 as Range<UInt64> { tracker.markTouched(pages(page * 7, 3)) }
      }
      group.addTask { for _ in 0..<50 { _ = tracker.zeroedRanges(replyPage: nil) } }
      group.addTask { for page in 0..<50 as Range<UInt64> { tracker.claim(pages(page, 1)) } }
      group.addTask { for _ in 0..<20 { _ = tracker.snapshot().total } }
      group.addTask { try? tracker.stop() }
    }
    #expect(tracker.zeroedRanges(replyPage: nil).isEmpty)
  }
}

/// An atomic that several closures may hold.
final class Counter: Sendable {
  let value: Atomic<Int>

  init(_ value: Int) {
    self.value = Atomic(value)
  }
}
