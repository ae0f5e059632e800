import MachineSpecification
import Synchronization
import Testing

@testable import VMMCommand

@Suite struct FileConsoleTests {
  @Test func theFileIsEmptiedAndWritten() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("serial.log")
    try OutputFile.replace(path, with: "old contents, longer than the new")
    let console = try SerialSpec.file(LogFileSpec(file: path)).makeConsole(onQuit: {})
    #expect(try directory.contents("serial.log") == "old contents, longer than the new")
    try console.start { _ in 0 }
    #expect(try directory.contents("serial.log") == "")
    console.write(Array("one\n".utf8))
    console.write(pattern(5000))
    #expect(
      try directory.contents("serial.log") == "one\n"
        + String(decoding: pattern(5000), as: UTF8.self)
    )
    console.stop()
    console.write(Array("last".utf8))
    #expect(try directory.contents("serial.log").hasSuffix("last"))
  }

  @Test func failures() throws {
    let reports = Mutex<[String]>([])
    let file = try LogFile(LogFileSpec(file: "/dev/full"))
    let console = FileConsole(file) { error in
      reports.withLock { $0.append(error.description) }
    }
    for _ in 0..<3 { console.write([1]) }
    #expect(
      reports.withLock { $0 } == [
        "cannot write /dev/full: No space left on device (ENOSPC); "
          + "free some space or choose another place"
      ])
  }

  @Test func everyChoiceHasAConsole() throws {
    #expect(try SerialSpec.none.makeConsole(onQuit: {}) is NoConsole)
    #expect(try SerialSpec.stdio.makeConsole(onQuit: {}) is StdioConsole)
    let none = NoConsole()
    none.write([1])
    none.start { _ in 0 }
    none.restoreTerminal()
    none.stop()
  }
}
