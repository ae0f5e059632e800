import Devices
import Glibc
import KVM
import Testing

@testable import VMMCommand

/// Names of files, and a kernel's command line, that are no UTF-8: byte for byte as they were
/// typed.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .timeLimit(.minutes(10)))
struct OddNamesTests {
  /// `Ä`, a line break and `ÿ` in Latin-1.
  private static let oddity: [UInt8] = [0xC4, 0x0A, 0xFF]
  private let directory: TemporaryDirectory

  init() throws {
    directory = try TemporaryDirectory()
  }

  private func name(_ name: String) -> [UInt8] {
    Array(directory.path(name).utf8) + Self.oddity
  }

  private func write(_ bytes: [UInt8], to path: [UInt8]) throws {
    // SAFETY: the path is lent, terminated, for the call.
    let descriptor = unsafe HostPath(bytes: path).withCString {
      unsafe open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    }
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    let count = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    try #require(count == bytes.count)
  }

  private func read(_ path: [UInt8]) -> [UInt8]? {
    // SAFETY: the path is lent, terminated, for the call.
    let descriptor = unsafe HostPath(bytes: path).withCString { unsafe open($0, O_RDONLY) }
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return readToEnd(from: descriptor)
  }

  private func run(_ arguments: [[UInt8]]) throws -> (
    end: Program.End, output: [UInt8], errors: String
  ) {
    let output = try TestPipe()
    let error = try TestPipe()
    let program = try Program(
      arguments, output: .descriptor(output.writer), error: .descriptor(error.writer))
    output.closeWriter()
    error.closeWriter()
    let bytes = readToEnd(from: output.reader)
    let text = String(decoding: readToEnd(from: error.reader), as: UTF8.self)
    return (program.wait(), bytes, text)
  }

  private func words(_ line: String) -> [[UInt8]] {
    line.split(separator: " ").map { Array($0.utf8) }
  }

  /// Prints the command line, which PVH's start info names at offset 24, and switches itself off.
  @Test func everythingOfAKernel() throws {
    // mov esi, [ebx + 24]; mov edx, 0x3F8; next: lodsb; test al, al; jz done; out dx, al; jmp next
    let code: [UInt8] = [
      0x8B, 0x73, 0x18, 0xBA, 0xF8, 0x03, 0x00, 0x00, 0xAC, 0x84, 0xC0, 0x74, 0x03, 0xEE, 0xEB,
      0xF8,
    ]
    try write(TestGuest.kernel(code + TestGuest.powerOff), to: name("kernel"))
    try write([UInt8](repeating: 0, count: 1 << 20), to: name("disk"))
    try write([1, 2, 3], to: name("initrd"))
    let commandLine = Array("quiet name=".utf8) + Self.oddity
    let (end, output, _) = try run(
      words("run --memory 64M --kernel") + [name("kernel")] + words("--disk") + [name("disk")]
        + words("--initrd") + [name("initrd")] + [Array("--append=".utf8) + commandLine]
        + words("--trace-hypercalls") + [name("trace")])
    #expect(end == .status(0))
    #expect(output == commandLine)
    #expect(read(name("trace")) == [])
  }

  @Test func logsAndPictures() throws {
    try write(TestGuest.kernel(TestGuest.print("log\n") + TestGuest.powerOff), to: name("kernel"))
    let serial = Array("--serial=file:".utf8) + name("serial") + Array(",append".utf8)
    try write(Array("old\n".utf8), to: name("serial"))
    let (end, _, _) = try run(
      words("run --memory 64M --kernel") + [name("kernel"), serial])
    #expect(end == .status(0))
    #expect(read(name("serial")) == Array("old\nlog\n".utf8))

    let demo = try run(words("demo --memory 16M --map") + [name("map")])
    #expect(demo.end == .status(0))
    #expect(read(name("map"))?.starts(with: Array("<?xml".utf8)) == true)
  }

  /// One line, whatever the name has in it, and nothing that a terminal obeys.
  @Test(arguments: ["--program", "--kernel", "--firmware", "--kernel=/bin/sh --disk"])
  func messagesStayLines(option: String) throws {
    let (end, _, errors) = try run(words("run \(option)") + [name("\u{1B}[2Jx")])
    #expect(end == .status(1))
    #expect(errors.hasPrefix("vmm-run: ") && errors.hasSuffix("\n"))
    #expect(errors.dropLast().allSatisfy { $0.isASCII && $0 != "\n" && $0 != "\u{1B}" })
    #expect(errors.contains(#"\u{1B}[2Jx\xC4\n\xFF"#), "\(errors)")
  }

  @Test func oneFileByTwoNamesIsFound() throws {
    try write([0], to: name("a"))
    let (end, _, errors) = try run(
      words("run --kernel") + [name("a")] + words("--trace-hypercalls") + [name("a")])
    #expect(end == .status(1))
    #expect(errors.contains("are one file"))
    #expect(read(name("a")) == [0])
  }
}
