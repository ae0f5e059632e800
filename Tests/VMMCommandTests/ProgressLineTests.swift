import MachineSpecification
import Synchronization
import Testing

@testable import VMMCommand

@Suite struct ProgressLineTests {
  /// A terminal with a clock that is set by hand.
  private final class FakeTerminal: Sendable {
    let milliseconds = Atomic<UInt64>(0)
    let columnCount = Atomic(80)
    let written = Mutex<[String]>([])

    func output(isTerminal: Bool = true) -> ProgressLine.Output {
      ProgressLine.Output(
        isTerminal: isTerminal,
        columnCount: { self.columnCount.load(ordering: .relaxed) },
        write: { text in self.written.withLock { $0.append(text) } },
        nanoseconds: { self.milliseconds.load(ordering: .relaxed) * 1_000_000 })
    }

    func wait(until milliseconds: UInt64) {
      self.milliseconds.store(milliseconds, ordering: .relaxed)
    }

    var texts: [String] { written.withLock { $0 } }
  }

  private let erase = "\r\u{1B}[K"
  private let terminal = FakeTerminal()

  @Test func showsNothingInTheFirstSecond() {
    let line = ProgressLine("zeroing memory", output: terminal.output())
    for time in [0, 500, 999] as [UInt64] {
      terminal.wait(until: time)
      line.update(.mebi(1), of: .gibi(1))
    }
    line.finish()
    #expect(terminal.texts.isEmpty)
  }

  @Test func showsUpdatesAtMostTenTimesASecondAndErases() {
    let line = ProgressLine("zeroing memory", output: terminal.output())
    for (time, count) in [(1000, 412), (1050, 420), (1099, 430), (1100, 500)] as [(UInt64, UInt64)]
    {
      terminal.wait(until: time)
      line.update(.mebi(count), of: .gibi(1))
    }
    line.finish()
    line.finish()
    line.update(.gibi(1), of: .gibi(1))
    #expect(
      terminal.texts == [
        erase + "zeroing memory... 412 MiB of 1 GiB (40 %)",
        erase + "zeroing memory... 500 MiB of 1 GiB (48 %)",
        erase,
      ])
  }

  @Test func erasesWhenForgotten() {
    do {
      let line = ProgressLine("waiting", output: terminal.output())
      terminal.wait(until: 2500)
      line.update()
    }
    #expect(terminal.texts == [erase + "waiting... 2 s", erase])
  }

  @Test(arguments: [(20, "zeroing memory... 1"), (1, ""), (0, "")])
  func neverFillsTheLine(columnCount: Int, text: String) {
    let line = ProgressLine("zeroing memory", output: terminal.output())
    terminal.columnCount.store(columnCount, ordering: .relaxed)
    terminal.wait(until: 1000)
    line.update(.mebi(100), of: .gibi(1))
    #expect(terminal.texts == [erase + text])
  }

  @Test func silentWithoutATerminal() {
    let line = ProgressLine("zeroing memory", output: terminal.output(isTerminal: false))
    terminal.wait(until: 60_000)
    line.update(.mebi(1), of: .gibi(1))
    line.finish()
    #expect(terminal.texts.isEmpty)
  }

  @Test func oddTotalsDoNotTrap() {
    let line = ProgressLine("x", output: terminal.output())
    terminal.wait(until: 1000)
    line.update(ByteCount(.max), of: ByteCount(0))
    terminal.wait(until: 2000)
    line.update(ByteCount(.max), of: ByteCount(1))
    #expect(terminal.texts.count == 2)
  }
}
