import Foundation
import Testing
import VMM

/// Every kind of memory, every source, every granularity, every writer: nothing false is ever
/// reported.
///
/// `TRACKING_GRANULARITIES=4K,2M,32M` chooses granularities (64K), `TRACKING_EVERY=2` every second
/// machine, which is another source with each kind of memory. With `TRACKING_MATRIX=FILE` every
/// cell is appended to the file as a line of JSON, from which `scripts/tracking-matrix` makes
/// docs/tracking.md.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(20)))
struct TrackingMatrixTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let path = environment["TRACKING_MATRIX"]
  private static let granularities =
    ["4K": 4 << 10, "64K": 64 << 10, "2M": 2 << 20, "32M": 32 << 20] as [String: UInt64]
  private static let machines: [MatrixMachine] = {
    let all = MatrixMachine.all(
      granularities: (environment["TRACKING_GRANULARITIES"] ?? "64K").split(separator: ",")
        .map { granularities[String($0)]! })
    let step = environment["TRACKING_EVERY"].flatMap { Int($0) } ?? 1
    return stride(from: 0, to: all.count, by: step).map { all[$0] }
  }()

  @Test(arguments: machines)
  func nothingFalseIsReported(machine: MatrixMachine) throws {
    let cells = try MatrixRun(machine).cells()
    try Self.publish(cells)
    for cell in cells {
      #expect(cell.answer.falsePages == 0, "\(cell.writer.rawValue)")
      #expect(cell.unrefined.falsePages == 0, "\(cell.writer.rawValue), unrefined")
      // A cell without a writer's bytes would prove nothing.
      #expect(cell.writer == .guestRead ? cell.nonZeroPages == 0 : cell.nonZeroPages > 0)
    }
  }

  private static func publish(_ cells: [MatrixCell]) throws {
    guard let path else { return }
    if !FileManager.default.fileExists(atPath: path) {
      _ = FileManager.default.createFile(atPath: path, contents: nil)
    }
    let file = try #require(FileHandle(forWritingAtPath: path))
    try file.seekToEnd()
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    for cell in cells {
      try file.write(contentsOf: encoder.encode(cell) + Data("\n".utf8))
    }
    try file.close()
  }
}
