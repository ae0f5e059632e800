import FoundationEssentials
import Glibc
import Testing

@testable import HostSystem

/// Each test changes the mask of new files for a moment, as a program does that has one thread.
@Suite(.serialized) struct UnixListenerTests {
  private let path = FreePath.make()

  private var bytes: [UInt8] { Array(path.utf8) }

  private func status() -> stat? {
    var status = stat()
    return unsafe lstat(path, &status) == 0 ? status : nil
  }

  @Test func onlyTheUserMayConnect() throws {
    let listener = try UnixListener(bytes)
    #expect(status()?.st_mode == S_IFSOCK | 0o600)
    let client = try UnixSocket.connected(to: bytes)
    let accepted = try listener.accept()
    #expect(accepted.peerUserID == geteuid())
    #expect(client.peerUserID == geteuid())
    #expect(throws: Errno(EAGAIN)) { _ = try listener.accept() }
    listener.removeFile()
    #expect(status() == nil)
    listener.removeFile()
  }

  @Test func whatIsLeftOverMakesRoom() throws {
    do { _ = try UnixListener(bytes) }
    #expect(status() != nil)
    let listener = try UnixListener(bytes)
    _ = try UnixSocket.connected(to: bytes)
    listener.removeFile()
  }

  @Test func whoListensIsLeftAlone() throws {
    let listener = try UnixListener(bytes)
    #expect(throws: UnixListener.Failure.isInUse) { _ = try UnixListener(bytes) }
    _ = try UnixSocket.connected(to: bytes)
    listener.removeFile()
  }

  @Test func anotherFileIsLeftAlone() throws {
    try Data([1]).write(to: URL(filePath: path))
    #expect(throws: UnixListener.Failure.isNoSocket) { _ = try UnixListener(bytes) }
    #expect(try Data(contentsOf: URL(filePath: path)) == Data([1]))
    unsafe unlink(path)
    // A link to nowhere is no socket, either.
    unsafe symlink("/nowhere/at/all", path)
    #expect(throws: UnixListener.Failure.isNoSocket) { _ = try UnixListener(bytes) }
    unsafe unlink(path)
  }

  /// Somebody else took the name meanwhile.
  @Test func onlyItsOwnFileIsRemoved() throws {
    let listener = try UnixListener(bytes)
    unsafe unlink(path)
    let other = try UnixListener(bytes)
    listener.removeFile()
    #expect(status() != nil)
    other.removeFile()
    #expect(status() == nil)
  }

  @Test func impossiblePaths() {
    #expect(throws: UnixListener.Failure.system(Errno(ENAMETOOLONG))) {
      _ = try UnixListener([UInt8](repeating: 0x61, count: 200))
    }
    #expect(throws: UnixListener.Failure.system(Errno(ENOENT))) {
      _ = try UnixListener(Array("/nowhere/at/all".utf8))
    }
  }
}

private enum FreePath {
  /// A short name that nothing has.
  static func make() -> String { "/tmp/vmm-listener-\(getpid())-\(UInt32.random(in: 0 ... .max))" }
}
