import Glibc
import Synchronization
import Testing

@testable import VMMCommand

/// A pipe whose ends are closed with it, or before.
final class TestPipe: Sendable {
  private let ends: Mutex<[Int32]>
  let reader: Int32
  let writer: Int32

  init() throws {
    var ends: [Int32] = [-1, -1]
    // SAFETY: the array has room for both.
    try #require(unsafe pipe(&ends) == 0)
    // Programs that other tests start at the same time would keep the ends open.
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    reader = ends[0]
    writer = ends[1]
    self.ends = Mutex(ends)
  }

  deinit {
    closeReader()
    closeWriter()
  }

  func closeReader() { close(0) }
  func closeWriter() { close(1) }

  private func close(_ index: Int) {
    ends.withLock { ends in
      if ends[index] >= 0 { Glibc.close(ends[index]) }
      ends[index] = -1
    }
  }
}

extension TestPipe {
  /// Writes a text, which the pipe has room for.
  func send(_ text: String) {
    let bytes = Array(text.utf8)
    // SAFETY: the bytes live for the call.
    _ = unsafe write(writer, bytes, bytes.count)
  }

  /// That many bytes, or what has come within a minute.
  func received(_ count: Int) -> String {
    String(decoding: read(count, from: reader, patienceMilliseconds: 60_000), as: UTF8.self)
  }
}

/// A guest that takes as many bytes as it is told to, and remembers.
final class FakeGuest: Sendable {
  struct State {
    var bytes: [UInt8] = []
    var offerCount = 0
    /// How many bytes each offer is good for.
    var appetite = Int.max
  }

  private let state = Mutex(State())

  var bytes: [UInt8] { state.withLock { $0.bytes } }
  var offerCount: Int { state.withLock { $0.offerCount } }

  func setAppetite(_ count: Int) { state.withLock { $0.appetite = count } }

  @Sendable func take(_ bytes: [UInt8]) -> Int {
    state.withLock { state in
      state.offerCount += 1
      let taken = bytes.prefix(state.appetite)
      state.bytes += taken
      return taken.count
    }
  }

  /// Waits until the guest has so many bytes; false after ten seconds.
  func waits(for count: Int) -> Bool { eventually { self.bytes.count >= count } }
}

/// Whether something comes true within ten seconds, or as many as given.
func eventually(seconds: Int = 10, _ condition: () -> Bool) -> Bool {
  for _ in 0..<(seconds * 200) {
    if condition() { return true }
    usleep(5000)
  }
  return condition()
}

func write(_ bytes: [UInt8], to descriptor: Int32) {
  try? OutputFile.write(
    String(decoding: bytes, as: UTF8.self), to: descriptor, named: "test",
    policy: .waits(OutputPatience()))
}

/// Reads until there are `count` bytes; fewer after `patienceMilliseconds` without any, or at the
/// end.
func read(
  _ count: Int, from descriptor: Int32, patienceMilliseconds: Int32 = 5000
) -> [UInt8] {
  var bytes: [UInt8] = []
  while bytes.count < count {
    var set = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    // SAFETY: the structure lives for the call.
    guard unsafe poll(&set, 1, patienceMilliseconds) == 1,
      case .bytes(let more) = ConsoleReader.read(descriptor)
    else { break }
    bytes += more
  }
  return bytes
}

/// All that is there: how much a pipe holds depends on how many the user has.
func readAll(from descriptor: Int32) -> [UInt8] {
  read(.max, from: descriptor, patienceMilliseconds: 100)
}

/// Bytes that show when one is lost or two are swapped; ASCII.
func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(32 + $0 % 95) } }
