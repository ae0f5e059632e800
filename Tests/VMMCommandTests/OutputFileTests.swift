import FoundationEssentials
import Testing

@testable import VMMCommand

@Suite struct OutputFileTests {
  @Test func replacingAFileLeavesNoOther() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path("map.svg")
    try OutputFile.replace(path, with: "old")
    try OutputFile.replace(path, with: "new")
    #expect(try directory.contents("map.svg") == "new")
    #expect(try directory.names() == ["map.svg"])
    let link = directory.path("link.svg")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
    try OutputFile.replace(link, with: "through the link")
    #expect(try directory.contents("map.svg") == "through the link")
    #expect(try directory.names() == ["link.svg", "map.svg"])
  }

  @Test func fileErrorsSayWhatToDo() throws {
    let directory = try TemporaryDirectory()
    let missing = directory.path("none/map.svg")
    let error = #expect(throws: SystemError.self) { try OutputFile.replace(missing, with: "") }
    #expect(
      error?.description
        == "cannot write \(missing): No such file or directory (ENOENT); create its directory first"
    )
  }

  @Test func devicesAreWrittenInPlace() throws {
    // Through a link of our own: should this ever fail, the device must not be what is replaced.
    let directory = try TemporaryDirectory()
    let full = directory.path("full")
    try FileManager.default.createSymbolicLink(atPath: full, withDestinationPath: "/dev/full")
    let error = #expect(throws: SystemError.self) { try OutputFile.replace(full, with: "x") }
    #expect(
      error?.description == "cannot write \(full): No space left on device (ENOSPC); "
        + "free some space or choose another place")
    #expect(try directory.names() == ["full"])
  }
}
