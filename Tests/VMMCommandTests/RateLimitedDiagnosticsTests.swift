import Synchronization
import Testing

@testable import VMMCommand

@Suite struct RateLimitedDiagnosticsTests {
  /// Lines, and a clock that a test moves by hand.
  private final class Log: Sendable {
    let lines = Mutex<[String]>([])
    let nanoseconds = Atomic<UInt64>(0)

    func diagnostics() -> RateLimitedDiagnostics {
      RateLimitedDiagnostics(
        nanoseconds: { self.nanoseconds.load(ordering: .relaxed) },
        print: { line in self.lines.withLock { $0.append(line) } })
    }

    func take() -> [String] {
      lines.withLock { lines in
        defer { lines = [] }
        return lines
      }
    }
  }

  private let log = Log()

  @Test func fewMessagesAreAllTold() {
    let diagnostics = log.diagnostics()
    for number in 1...10 { diagnostics.report("message \(number)") }
    diagnostics.finish()
    #expect(log.take() == (1...10).map { "message \($0)" })
  }

  @Test func aFloodIsCutAndCounted() {
    let diagnostics = log.diagnostics()
    for number in 1...100_000 { diagnostics.report("message \(number)") }
    #expect(log.take().last == "message 10")
    log.nanoseconds.store(59_999_999_999, ordering: .relaxed)
    diagnostics.report("too early")
    #expect(log.take() == [])
    log.nanoseconds.store(60_000_000_000, ordering: .relaxed)
    diagnostics.report("later")
    #expect(log.take() == ["99,991 messages like these left out", "later"])
  }

  @Test func theRestIsToldAtTheEndOnce() {
    let diagnostics = log.diagnostics()
    for _ in 1...11 { diagnostics.report("again") }
    diagnostics.finish()
    diagnostics.finish()
    #expect(log.take().suffix(2) == ["again", "1 message like these left out"])
  }

  /// However long it lasts: no more than ten messages and one count in a minute.
  @Test func linesGrowWithTimeOnly() {
    let diagnostics = log.diagnostics()
    let second: UInt64 = 1_000_000_000
    for _ in 0..<3600 {
      for _ in 0..<100 { diagnostics.report("again") }
      log.nanoseconds.add(second, ordering: .relaxed)
    }
    diagnostics.finish()
    let lines = log.take()
    #expect(lines.count == 60 * 11)
    #expect(lines.count { $0 == "again" } == 600)
    let left = lines.filter { $0 != "again" }
    #expect(left == Array(repeating: "5,990 messages like these left out", count: 60))
  }

  @Test func noMessageOfSeveralThreadsIsLost() async {
    let diagnostics = log.diagnostics()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask { for _ in 0..<2500 { diagnostics.report("again") } }
      }
    }
    diagnostics.finish()
    let lines = log.take()
    #expect(lines.count == 11 && lines.last == "9,990 messages like these left out")
  }
}
