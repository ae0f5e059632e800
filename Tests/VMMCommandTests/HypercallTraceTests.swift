import Glibc
import MachineSpecification
import Synchronization
import TestSupport
import Testing

@testable import VMMCommand

@Suite struct HypercallTraceTests {
  private let query = HypercallRecord(
    vcpuID: 1, code: 0x8002, name: "HvExtCallGetBootZeroedMemory", input: 0x8002, status: 0,
    ranges: [
      ReportedRange(startPage: 256, pageCount: 512), ReportedRange(startPage: 4096, pageCount: 1),
    ])

  @Test func lineIsExact() {
    #expect(
      query.line(nanosecondsSinceStart: 1_000_020_300) == """
        {"time":1.000020300,"vcpu":1,"code":"0x8002","name":"HvExtCallGetBootZeroedMemory",\
        "input":"0x0000000000008002","status":0,"ranges":[{"startPage":256,"pageCount":512},\
        {"startPage":4096,"pageCount":1}]}

        """)
  }

  /// What a guest hinted, in its own words: a header, then ranges, of which one is done.
  @Test func inputIsShown() {
    let hint = HypercallRecord(
      vcpuID: 0, code: 0x8003, name: "n", input: 0x2_0000_8003, status: 5,
      words: [2, 0x9C0_0801, .max], repsCompleted: 1)
    #expect(
      hint.line(nanosecondsSinceStart: 0) == """
        {"time":0.000000000,"vcpu":0,"code":"0x8003","name":"n","input":"0x0000000200008003","status":5,\
        "repsCompleted":1,"words":["0x0000000000000002","0x0000000009c00801","0xffffffffffffffff"]}

        """)
  }

  @Test func linesAreJSON() throws {
    let capabilities = HypercallRecord(
      vcpuID: 0, code: 0x8001, name: "HvExtCallQueryCapabilities", input: .max, status: 3,
      capabilities: .max)
    let odd = HypercallRecord(
      vcpuID: 3, code: 2, name: "a\"b\\c\n\u{1}é", input: 0x1_0002, status: 0xFFFF, ranges: [])
    let object = try JSON(parsing: capabilities.line(nanosecondsSinceStart: 5))
    #expect(object.keys == ["time", "vcpu", "code", "name", "input", "status", "capabilities"])
    #expect(object["time"] == .number(5e-9))
    #expect(object["input"] == .string("0xffffffffffffffff"))
    let other = try JSON(parsing: odd.line(nanosecondsSinceStart: .max))
    #expect(other["name"] == .string("a\"b\\c\n\u{1}é"))
    #expect(other["code"] == .string("0x0002"))
    #expect(other["ranges"] == .array([]))
  }

  @Test func writesLinesInOrderFromManyThreads() async throws {
    let directory = try TemporaryDirectory()
    let clock = Atomic<UInt64>(0)
    let trace = try HypercallTrace(LogFile(LogFileSpec(file: directory.path("t.jsonl")))) {
      clock.wrappingAdd(1_000, ordering: .relaxed).newValue
    }
    await withTaskGroup { group in
      for vcpu in 0..<4 {
        group.addTask {
          for _ in 0..<250 {
            var record = query
            record.vcpuID = vcpu
            trace.record(record)
          }
        }
      }
    }
    // Readable before it is finished: nothing waits in a buffer.
    let lines = try directory.contents("t.jsonl").split(separator: "\n")
    #expect(lines.count == 1000)
    let times = try lines.map { line in
      guard case .number(let time) = try JSON(parsing: String(line))["time"] else { return -1.0 }
      return time
    }
    #expect(times == times.sorted() && times.allSatisfy { $0 > 0 })
    try trace.finish()
    trace.record(query)
    #expect(try directory.contents("t.jsonl").split(separator: "\n").count == 1000)
  }

  /// When the machine is made, and not when the file is opened; once.
  @Test func emptiesAnOldTrace() throws {
    let directory = try TemporaryDirectory()
    try OutputFile.replace(directory.path("t"), with: "old\n")
    let trace = HypercallTrace(try LogFile(LogFileSpec(file: directory.path("t"))))
    #expect(try directory.contents("t") == "old\n")
    try trace.begin()
    #expect(try directory.contents("t") == "")
    trace.record(query)
    try trace.begin()
    try trace.finish()
    #expect(try directory.contents("t").split(separator: "\n").count == 1)
  }

  @Test func addsToAnOldTrace() throws {
    let directory = try TemporaryDirectory()
    try OutputFile.replace(directory.path("t"), with: "old\n")
    let option = LogFileSpec(file: directory.path("t"), appends: true)
    let trace = HypercallTrace(try LogFile(option))
    try trace.begin()
    trace.record(query)
    try trace.finish()
    let lines = try directory.contents("t").split(separator: "\n")
    #expect(lines.count == 2 && lines[0] == "old")
  }

  @Test func aFullDiskIsReportedOnceAndAtTheEnd() throws {
    let trace = HypercallTrace(try LogFile(LogFileSpec(file: "/dev/full")))
    trace.record(query)
    trace.record(query)
    let error = #expect(throws: SystemError.self) { try trace.finish() }
    #expect(
      error?.description == "cannot write /dev/full: No space left on device (ENOSPC); "
        + "free some space or choose another place")
  }

  /// What a full disk took of a line goes, and what was there before stays.
  @Test func halfALineIsCutOff() async throws {
    await #expect(processExitsWith: .exitCode(0)) {
      try ProcessSignals.unblock(SIGXFSZ)
      _ = signal(SIGXFSZ, SIG_IGN)
      let directory = try TemporaryDirectory()
      try OutputFile.replace(directory.path("t"), with: "old\n")
      let option = LogFileSpec(file: directory.path("t"), appends: true)
      let trace = HypercallTrace(try LogFile(option))
      try trace.begin()
      let record = HypercallRecord(
        vcpuID: 0, code: 0x8001, name: "x", input: 0x8001, status: 0, capabilities: 1)
      trace.record(record)
      let byteCount = try directory.contents("t").utf8.count
      try ProcessLimit.fileSize.set(UInt64(byteCount) + 20)
      trace.record(record)
      guard (try? trace.finish()) == nil else { _exit(1) }
      let contents = try directory.contents("t")
      _exit(contents.utf8.count == byteCount && contents.hasPrefix("old\n") ? 0 : 2)
    }
  }
}
