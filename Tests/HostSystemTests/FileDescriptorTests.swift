import Glibc
import HostSystem
import Testing

@Suite struct FileDescriptorTests {
  /// Tells a closed end from an open one: a number alone may already be another test's.
  private struct Pipe: ~Copyable {
    let reader: FileDescriptor
    let writer: FileDescriptor

    init() throws {
      var ends: [Int32] = [-1, -1]
      // SAFETY: the call stores two descriptors.
      try #require(unsafe pipe(&ends) == 0)
      reader = FileDescriptor(taking: ends[0])
      writer = FileDescriptor(taking: ends[1])
    }

    /// poll(2) finds POLLERR at a writer without readers.
    static func hasReaders(_ writer: borrowing FileDescriptor) -> Bool {
      var event = pollfd(fd: writer.rawValue, events: Int16(POLLOUT), revents: 0)
      // SAFETY: one structure, which lives for the call.
      _ = unsafe poll(&event, 1, 0)
      return event.revents & Int16(POLLERR) == 0
    }
  }

  @Test func theEndOfTheOwnerCloses() throws {
    let writer: FileDescriptor
    do {
      let pipe = try Pipe()
      let isRead = Pipe.hasReaders(pipe.writer)
      #expect(isRead)
      writer = FileDescriptor(taking: dup(pipe.writer.rawValue))
    }
    let isRead = Pipe.hasReaders(writer)
    #expect(!isRead)
  }

  @Test func whatIsReleasedStaysOpen() throws {
    let writer: FileDescriptor
    let released: Int32
    do {
      var ends: [Int32] = [-1, -1]
      // SAFETY: the call stores two descriptors.
      try #require(unsafe pipe(&ends) == 0)
      writer = FileDescriptor(taking: ends[1])
      released = FileDescriptor(taking: ends[0]).release()
      #expect(released == ends[0])
    }
    let isReadBefore = Pipe.hasReaders(writer)
    #expect(isReadBefore && close(released) == 0)
    let isReadAfter = Pipe.hasReaders(writer)
    #expect(!isReadAfter)
  }

  @Test func aCallThatFailsHasItsNumber() {
    let error = #expect(throws: Errno.self) {
      // SAFETY: the path is lent, terminated, for the call.
      _ = try FileDescriptor { unsafe open("/nonexistent/file", O_RDONLY | O_CLOEXEC) }
    }
    #expect(error == Errno(ENOENT))
  }

  @Test func aCallThatOpensIsTakenOver() throws {
    // SAFETY: the path is lent, terminated, for the call.
    let file = try FileDescriptor { unsafe open("/dev/zero", O_RDONLY | O_CLOEXEC) }
    var byte: UInt8 = 7
    // SAFETY: one byte, which lives for the call.
    let count = unsafe read(file.rawValue, &byte, 1)
    #expect(count == 1 && byte == 0)
  }
}
