import Glibc
import GuestMemory
import Testing

@testable import Devices

@Suite struct HostPathTests {
  @Test(arguments: [
    ("disk.img", "disk.img"), ("/a b/é\u{1F600}", "/a b/é\u{1F600}"),
    ("a\nb\u{1B}[2J", #"a\nb\u{1B}[2J"#),
    ("\u{202E}gpj.x", #"\u{202E}gpj.x"#),
  ])
  func textForPeople(text: String, shown: String) {
    #expect(HostPath(text).description == shown)
    #expect(HostPath(text).bytes == Array(text.utf8))
  }

  @Test func bytesForPeople() {
    #expect(HostPath(bytes: [0x66, 0xE9, 0x2E, 0xC3]).description == #"f\xE9.\xC3"#)
    #expect("\(HostPath("a"))/b" == "a/b")
    #expect(HostPath(bytes: [0xE9]).appending(".new").bytes == [0xE9, 0x2E, 0x6E, 0x65, 0x77])
  }

  @Test func theSystemGetsTheBytes() {
    let path = HostPath(bytes: [0x2F, 0xFF, 0x80, 0x41])
    // SAFETY: the string is terminated, and lives for the closure.
    let seen = unsafe path.withCString { text in
      unsafe (0..<strlen(text)).map { unsafe UInt8(bitPattern: text[$0]) }
    }
    #expect(seen == path.bytes)
  }

  /// Whatever opens files by it: a disk, variables that are made anew and that are there.
  @Test func filesWhoseNamesAreNoText() throws {
    let directory = "/tmp/names-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try #require(unsafe mkdir(directory, 0o700) == 0)
    let path = HostPath(bytes: Array("\(directory)/d".utf8) + [0xE9, 0xFF])
    // SAFETY: paths are lent, terminated, for the calls.
    defer {
      _ = unsafe path.withCString { unsafe unlink($0) }
      _ = unsafe rmdir(directory)
    }
    let template = variableVolume(blocks: 1)
    do {
      let file = try VariableFile(path: path, template: template)
      #expect(file.initialBytes == template)
    }
    do {
      let disk = try RawImageStore(path: path, isKnownRaw: true)
      #expect(disk.byteCount == UInt64(template.count))
      let error = #expect(throws: FlashStoreError.self) {
        _ = try VariableFile(path: path, template: template)
      }
      #expect(error?.description.contains(#"d\xE9\xFF"#) == true)
    }
    // No draft is left: the directory can be removed.
    _ = unsafe path.withCString { unsafe unlink($0) }
    #expect(unsafe rmdir(directory) == 0)
  }
}
