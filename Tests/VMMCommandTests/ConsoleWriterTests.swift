import Glibc
import HostSystem
import Synchronization
import Testing

@testable import VMMCommand

@Suite(.timeLimit(.minutes(10))) struct ConsoleWriterTests {
  private let reports = Reports()

  final class Reports: Sendable {
    private let errors = Mutex<[SystemError]>([])
    @Sendable func add(_ error: SystemError) { errors.withLock { $0.append(error) } }
    var all: [SystemError] { errors.withLock { $0 } }
  }

  private func writer(
    _ descriptor: Int32, _ policy: PatientWriter.Policy = .waits(OutputPatience()),
    neverBlocks: Bool = false
  ) -> ConsoleWriter {
    ConsoleWriter(
      PatientWriter(
        descriptor: descriptor, name: "test", policy: policy, neverBlocks: neverBlocks),
      report: reports.add)
  }

  /// Blocking or not is the choice of whoever opened it, who may say that it is not.
  @Test(arguments: [(0, false), (O_NONBLOCK, false), (O_NONBLOCK, true)])
  func waitsForASlowReader(flag: Int32, neverBlocks: Bool) throws {
    let pipe = try TestPipe()
    _ = fcntl(pipe.writer, F_SETFL, flag)
    let writer = writer(pipe.writer, neverBlocks: neverBlocks)
    let bytes = pattern(300_000)
    let thread = try ConsoleThread { writer.write(bytes) }
    usleep(50_000)
    let isComplete = read(bytes.count, from: pipe.reader) == bytes
    thread.join()
    #expect(isComplete)
    #expect(reports.all.isEmpty)
  }

  /// A reader that has stopped gets a second; one that reads then still gets everything.
  @Test(arguments: [false, true]) func patienceEnds(neverBlocks: Bool) throws {
    let pipe = try TestPipe()
    if neverBlocks { _ = fcntl(pipe.writer, F_SETFL, O_NONBLOCK) }
    let patience = OutputPatience()
    let writer = writer(pipe.writer, .waits(patience), neverBlocks: neverBlocks)
    let isDone = Done()
    let thread = try ConsoleThread {
      writer.write(pattern(200_000))
      isDone.set()
    }
    usleep(50_000)
    #expect(!isDone.isSet)
    patience.shorten()
    patience.shorten()
    thread.join()
    #expect(isDone.isSet && patience.isShortened)
    // Having waited in vain once is enough.
    let start = HostClock.monotonicNanoseconds()
    for _ in 0..<100 { writer.write([1]) }
    #expect(HostClock.monotonicNanoseconds() - start < 30_000_000_000)
    // What was written is there; then there is room, and last words pass.
    let isPrefix = pattern(200_000).starts(with: readAll(from: pipe.reader))
    #expect(isPrefix)
    writer.write(pattern(300_000 / 100))
    #expect(read(3000, from: pipe.reader) == pattern(3000))
    #expect(reports.all.isEmpty)
  }

  @Test func aSlowReaderIsNotOneThatStopped() throws {
    let pipe = try TestPipe()
    let patience = OutputPatience()
    patience.shorten()
    let writer = writer(pipe.writer, .waits(patience))
    let thread = try ConsoleThread { writer.write(pattern(300_000)) }
    usleep(50_000)
    let isComplete = read(300_000, from: pipe.reader) == pattern(300_000)
    thread.join()
    #expect(isComplete)
  }

  @Test func aFailureIsReportedOnce() throws {
    let full = try OutputFile.open("/dev/full", O_WRONLY, named: "full").release()
    defer { close(full) }
    let writer = writer(full)
    writer.write([1])
    writer.write([2])
    #expect(
      reports.all.map(\.description) == [
        "cannot write test: No space left on device (ENOSPC); "
          + "free some space or choose another place"
      ])
  }

  @Test func anImpatientWriterLosesAndRecovers() throws {
    let pipe = try TestPipe()
    let writer = writer(pipe.writer, .loses(patienceMilliseconds: 50))
    writer.write(pattern(200_000))
    let start = HostClock.monotonicNanoseconds()
    for _ in 0..<1000 { writer.write([1]) }
    #expect(HostClock.monotonicNanoseconds() - start < 5_000_000_000, "it waits only once")
    let isPrefix = pattern(200_000).starts(with: readAll(from: pipe.reader))
    #expect(isPrefix)
    writer.write(pattern(5))
    #expect(read(5, from: pipe.reader) == pattern(5))
    #expect(reports.all.isEmpty)
  }

  final class Done: Sendable {
    private let flag = Atomic(false)
    func set() { flag.store(true, ordering: .releasing) }
    var isSet: Bool { flag.load(ordering: .acquiring) }
  }
}
