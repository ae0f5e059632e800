import FoundationEssentials
import Glibc
import Testing

@testable import VMMCommand

/// Command lines that name a file twice, once to write it. None is opened, and all stay as they
/// are.
@Suite struct RunFilesTests {
  private let directory: TemporaryDirectory
  private var path: String { directory.path("") }

  init() throws {
    directory = try TemporaryDirectory()
    for name in ["a", "b", "x,y", "CODE.fd", "VARS.fd"] {
      try directory.write(Array(name.utf8), to: name)
    }
    try FileManager.default.createSymbolicLink(
      atPath: directory.path("link"), withDestinationPath: "a")
    try FileManager.default.linkItem(atPath: directory.path("a"), toPath: directory.path("hard"))
    try FileManager.default.createDirectory(
      atPath: directory.path("d"), withIntermediateDirectories: false)
  }

  private func check(_ line: String) throws {
    let words = line.replacing("@", with: path).split(separator: " ").map(String.init)
    switch try Invocation(words) {
    case .demo(let options): try options.files.check()
    case .run(let options): try options.files.check()
    default: Issue.record("another command")
    }
  }

  @Test(arguments: [
    "run --program @a --trace-hypercalls @a", "run --kernel @a --trace-hypercalls @a",
    "run --kernel @b --initrd @a --trace-hypercalls @a,append",
    "run --kernel @b --disk @a --serial file:@a", "run --kernel @b --disk @a --serial file:@link",
    "run --kernel @b --disk @link --serial file:@d/../a,append",
    "run --kernel @b --disk @hard --serial file:@a",
    "run --kernel @b --disk @b --disk @x,,y,readonly --serial file:@x,,y",
    "run --firmware @a --serial file:@a", "run --firmware @a --vars @b --serial file:@b",
    "run --firmware @a --vars @new --serial file:@new",
    "run --firmware @a --vars @new --serial file:@d/../new",
    "run --firmware @a --vars-template @b --trace-hypercalls @b",
    "run --firmware @a --vars @a", "run --firmware @a --vars @link",
    "run --firmware @a --vars @hard",
    "run --firmware @CODE.fd --vars @VARS.fd", "run --firmware @a --vars @b --vars-template @b",
    "run --firmware @a --vars @b --disk @b",
    "run --firmware @CODE.fd --serial file:@VARS.fd",
    "run --firmware @a --fw-cfg opt/x=@b --serial file:@b",
    "run --kernel @b --serial file:@new --trace-hypercalls @new",
    "demo --map @a --trace-hypercalls @link", "demo --map @new --trace-hypercalls @new",
  ])
  func conflicts(line: String) throws {
    #expect(throws: RunFiles.Conflict.self) { try check(line) }
    #expect(try directory.contents("a") == "a")
    #expect(try directory.names() == ["CODE.fd", "VARS.fd", "a", "b", "d", "hard", "link", "x,y"])
  }

  @Test(arguments: [
    "run --kernel @a --initrd @a --disk @a", "run --kernel @a --serial file:@b",
    "run --kernel @a --serial file:/dev/null --trace-hypercalls /dev/null",
    "run --firmware @a --vars @new --serial file:@d/new", "run --kernel @a --serial file:@none/x",
    "run --firmware @CODE.fd --vars-template @b --serial file:@VARS.fd",
    "run --firmware @CODE.fd --vars @VARS.fd --no-persist", "run --firmware @CODE.fd --vars @new",
    "demo --map @a --trace-hypercalls @b",
  ])
  func noConflicts(line: String) throws {
    #expect(throws: Never.self) { try check(line) }
  }

  @Test func theMessageNamesBoth() throws {
    let error = #expect(throws: RunFiles.Conflict.self) {
      try check("run --kernel @b --disk @a --serial file:@link")
    }
    #expect(
      error?.description == "'--serial' ('\(path)link') and '--disk' ('\(path)a') are one file; "
        + "what is written there needs a file of its own")
  }
}
