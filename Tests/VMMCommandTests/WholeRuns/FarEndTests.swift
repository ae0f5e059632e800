import Foundation
import Glibc
import HostSystem
import KVM
import Testing

@testable import VMMCommand

/// Other programs beside a run: a network's far end that ends, stands still or floods, and what is
/// left of passt and swtpm when the command is killed.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct FarEndTests {
  /// Not typed to the guest otherwise.
  private static let end: UInt8 = 4
  private let directory: TemporaryDirectory
  private let input: TestPipe
  private let output: TestPipe
  private let errors: TestPipe

  init() throws {
    directory = try TemporaryDirectory()
    (input, output, errors) = (try TestPipe(), try TestPipe(), try TestPipe())
    try directory.write(
      TestGuest.kernel(TestGuest.echo(until: Self.end, then: TestGuest.powerOff)), to: "kernel")
  }

  /// A run whose guest gives back what is typed, from here on.
  private func start(_ options: String) throws -> Program {
    let program = try Program(
      "run --memory 64M --kernel \(directory.path("kernel")) \(options)",
      input: .descriptor(input.reader), output: .descriptor(output.writer),
      error: .descriptor(errors.writer))
    errors.closeWriter()
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    return program
  }

  /// Whether the guest still answers.
  private func answers() -> Bool {
    write(Array("abc".utf8), to: input.writer)
    return read(3, from: output.reader, patienceMilliseconds: 60_000) == Array("abc".utf8)
  }

  /// What is there when `text` is, or after a minute in which nothing came.
  private func messages(until text: String) -> String {
    var found: [UInt8] = []
    while !String(decoding: found, as: UTF8.self).contains(text) {
      let next = read(1, from: errors.reader, patienceMilliseconds: 60_000)
      if next.isEmpty { break }
      found += next
    }
    return String(decoding: found, as: UTF8.self)
  }

  private func messages() -> String {
    String(decoding: readToEnd(from: errors.reader), as: UTF8.self)
  }

  // MARK: passt

  @Test(
    "passt that is killed: one line, and the machine goes on",
    .enabled(if: PasstProgram.path != nil, "needs passt"), arguments: ["e1000e", "virtio"])
  func killed(card: String) throws {
    let program = try start("--net user --nic \(card)")
    let passt = try #require(Child.all(of: program.processID).first)
    #expect(passt.name == "passt")
    #expect(kill(passt.number, SIGKILL) == 0)
    #expect(eventually(seconds: 60) { passt.hasEnded })
    let line = "network card 0: its far end has gone"
    let before = messages(until: line)
    #expect(answers())
    write([Self.end], to: input.writer)
    #expect(program.endsByItself() && program.end == .status(0))
    #expect((before + messages()).components(separatedBy: line).count == 2)
  }

  @Test(
    "passt that stands still: the machine goes on, and ends at once",
    .enabled(if: PasstProgram.path != nil, "needs passt"), arguments: ["e1000e", "virtio"])
  func stopped(card: String) throws {
    let program = try start("--net user --nic \(card)")
    let passt = try #require(Child.all(of: program.processID).first)
    #expect(kill(passt.number, SIGSTOP) == 0)
    #expect(answers())
    program.send(SIGTERM)
    #expect(program.endsByItself() && program.end == .status(128 + SIGTERM))
    // It finds that its socket has closed once it may look.
    kill(passt.number, SIGCONT)
    #expect(eventually(seconds: 60) { passt.hasEnded })
  }

  @Test(
    "a run with a TPM ends in its sandbox, with or without clients, and swtpm with it",
    .enabled(if: ChildProcess.find("swtpm") != nil, "needs swtpm"), arguments: [false, true])
  func endsWithTPM(hasControl: Bool) throws {
    let control = hasControl ? " --control unix:\(directory.path("control"))" : ""
    let program = try start("--tpm \(directory.path("tpm"))\(control)")
    let children = Child.all(of: program.processID)
    #expect(children.map(\.name) == Array(repeating: "swtpm", count: hasControl ? 2 : 1))
    #expect(answers())
    write([Self.end], to: input.writer)
    #expect(program.wait() == .status(0))
    #expect(children.allSatisfy { $0.hasEnded })
  }

  @Test(
    "after kill -9 of the command neither passt nor swtpm is left",
    .enabled(if: PasstProgram.path != nil, "needs passt"),
    .enabled(if: ChildProcess.find("swtpm") != nil, "needs swtpm"))
  func commandKilled() throws {
    let program = try start("--net user --tpm \(directory.path("tpm"))")
    let children = Child.all(of: program.processID)
    #expect(Set(children.map(\.name)) == ["passt", "swtpm"])
    program.send(SIGKILL)
    #expect(program.wait() == .signal(SIGKILL))
    for child in children {
      #expect(eventually(seconds: 60) { child.hasEnded }, "\(child.name) is left")
    }
  }

  // MARK: A far end of the test's own

  /// Sends all of it, unless nobody is there any more.
  private static func send(_ bytes: [UInt8], to peer: borrowing FileDescriptor) {
    var rest = bytes[...]
    while !rest.isEmpty {
      var set = pollfd(fd: peer.rawValue, events: Int16(POLLOUT), revents: 0)
      // SAFETY: both live for the calls, which are given their lengths.
      let count = unsafe rest.withUnsafeBytes { bytes in
        unsafe poll(&set, 1, 60_000) == 1
          ? Glibc.send(peer.rawValue, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) : -1
      }
      guard count > 0 else { return }
      rest.removeFirst(count)
    }
  }

  @Test(
    "a far end that floods a guest without a driver: it is read, nothing is kept of it",
    arguments: ["e1000e", "virtio"])
  func flood(card: String) throws {
    let path = directory.path("far-end")
    let listener = try UnixListener(Array(path.utf8))
    let program = try start("--net passt=\(path) --nic \(card)")
    let peer = try listener.accept()
    // 64 frames of 1500 bytes, each behind its length.
    let frame: [UInt8] = [0, 0, 5, 0xDC] + [UInt8](repeating: 0xFF, count: 1500)
    let frames = (0..<64).flatMap { _ in frame }
    let before = try Child(number: program.processID).anonymousMiB
    let flood = try ConsoleThread {
      for _ in 0..<1000 { Self.send(frames, to: peer) }
    }
    for _ in 0..<20 { #expect(answers()) }
    flood.join()
    // Nearly 100 MiB went by.
    #expect(try Child(number: program.processID).anonymousMiB < before + 16)
    write([Self.end], to: input.writer)
    #expect(program.endsByItself() && program.end == .status(0))
    #expect(!messages().contains("network card"))
  }

  @Test(
    "a far end that sends what is no stream of frames harms nobody",
    arguments: [[0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]] as [[UInt8]])
  func nonsense(length: [UInt8]) throws {
    let path = directory.path("far-end")
    let listener = try UnixListener(Array(path.utf8))
    let program = try start("--net passt=\(path) --nic e1000e")
    let peer = try listener.accept()
    let bytes = (0..<16_384).flatMap { _ in length }
    let flood = try ConsoleThread {
      for _ in 0..<100 { Self.send(bytes, to: peer) }
    }
    #expect(answers())
    flood.join()
    write([Self.end], to: input.writer)
    #expect(program.endsByItself() && program.end == .status(0))
  }
}

/// A process that need not be this one's child.
private struct Child {
  let number: pid_t

  /// Those of a process' main thread.
  static func all(of parent: pid_t) -> [Child] {
    let path = "/proc/\(parent)/task/\(parent)/children"
    let list = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return list.split(separator: " ").compactMap { pid_t($0) }.map { Child(number: $0) }
  }

  /// Without what is behind a dot: passt goes on as `passt.avx2` where there is AVX2.
  var name: String { status("Name")?.split(separator: ".").first.map(String.init) ?? "" }

  /// Whether it is gone, or only waits to be asked how it ended.
  var hasEnded: Bool { status("State").map { $0.hasPrefix("Z") } ?? true }

  /// Memory of its own, which guest memory is a part of.
  var anonymousMiB: Int {
    get throws {
      let value = try #require(status("RssAnon")?.split(separator: " ").first)
      return try #require(Int(value)) / 1024
    }
  }

  private func status(_ field: String) -> String? {
    let text = (try? String(contentsOfFile: "/proc/\(number)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("\(field):") }
    return line.map { $0.dropFirst(field.count + 1).trimmingCharacters(in: .whitespaces) }
  }
}
