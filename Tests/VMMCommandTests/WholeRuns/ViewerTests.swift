import Glibc
import KVM
import MachineSpecification
import TestSupport
import Testing
import VMM

@testable import VMMCommand

/// `--vnc` of whole runs, in their sandbox: a guest draws, a viewer looks and types, the guest
/// draws what was typed.
@Suite(
  .enabled(if: Program.canRun, "needs vmm-run beside the tests"),
  .enabled(if: (try? KVMSystem()) != nil, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct ViewerTests {
  /// Configuration registers of the display in slot 30, as a machine without firmware has them.
  private static let display: UInt32 = 0xB000_0000 | 30 << 15

  private static func word(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// Sets 1024x768, fills it with 0x336699, prints `!`, and then puts each byte of the keyboard
  /// into the first pixel.
  static let guest: [UInt8] = {
    // mov dword [command], 2
    var code: [UInt8] = [0xC7, 0x05] + word(display + 4) + word(2)
    // mov ebx, [BAR 2]; and ebx, -16; mov esi, [BAR 0]; and esi, -16
    code += [0x8B, 0x1D] + word(display + 0x18) + [0x83, 0xE3, 0xF0]
    code += [0x8B, 0x35] + word(display + 0x10) + [0x83, 0xE6, 0xF0]
    for (register, value) in [
      (4, 0), (8, 0), (9, 0), (3, 32), (1, 1024), (6, 1024), (2, 768), (4, 0x41),
    ] as [(UInt32, UInt16)] {
      // mov word [ebx + register], value
      code += [0x66, 0xC7, 0x83] + word(0x500 + 2 * register)
      code += [UInt8(value & 0xFF), UInt8(value >> 8)]
    }
    // mov edi, esi; mov ecx, pixels; mov eax, colour; rep stosd
    code += [0x89, 0xF7, 0xB9] + word(1024 * 768) + [0xB8] + word(0x0033_6699) + [0xF3, 0xAB]
    code += TestGuest.print("!")
    // next: in al, 0x64; test al, 1; jz next; in al, 0x60; movzx eax, al; mov [esi], eax; jmp next
    return code + [
      0xE4, 0x64, 0xA8, 0x01, 0x74, 0xFA, 0xE4, 0x60, 0x0F, 0xB6, 0xC0, 0x89, 0x06, 0xEB, 0xF1,
    ]
  }()

  /// An update of raw rectangles: their places, and their pixels.
  private func update(_ viewer: SocketPeer) throws -> [(place: [UInt8], pixels: [UInt8])] {
    let head = try viewer.read(4)
    #expect(head[0] == 0)
    return try (0..<(Int(head[2]) << 8 | Int(head[3]))).map { _ in
      let place = try viewer.read(12)
      let width = Int(place[4]) << 8 | Int(place[5])
      let height = Int(place[6]) << 8 | Int(place[7])
      return (place, try viewer.read(4 * width * height))
    }
  }

  /// Whether a file is a PNG of 1024x768, whole, whose first pixel has these colours.
  static func isPicture(_ bytes: [UInt8], _ colours: [UInt8]) -> Bool {
    // Signature and header; the data's length and type, zlib's header, a block's; the filter.
    let first = 8 + 25 + 8 + 2 + 5 + 1
    return bytes.count > 3 * 1024 * 768 && bytes[16..<24].elementsEqual([0, 0, 4, 0, 0, 0, 3, 0])
      && bytes[first..<(first + 3)].elementsEqual(colours)
      && bytes.suffix(8).prefix(4).elementsEqual("IEND".utf8)
  }

  @Test func aGuestIsSeenAndTypedTo() throws {
    let directory = try TemporaryDirectory()
    let (output, messages) = (try TestPipe(), try TestPipe())
    try directory.write(TestGuest.kernel(Self.guest), to: "kernel")
    let socket = directory.path("vnc")
    let program = try Program(
      "run --kernel \(directory.path("kernel")) --memory 64M --display 1280x800"
        + " --vnc unix:\(socket) --screenshot \(directory.path("png"))",
      output: .descriptor(output.writer), error: .descriptor(messages.writer))
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    let said = String(
      decoding: read(1 << 16, from: messages.reader, patienceMilliseconds: 100), as: UTF8.self)
    #expect(said.contains("vmm-run: viewers: unix:\(socket)\n"), "\(said)")

    func takeScreenshot() {
      program.send(SIGUSR2)
      let line = "vmm-run: screenshot: \(directory.path("png"))\n"
      var said = ""
      let isThere = eventually(seconds: 60) {
        said += String(
          decoding: read(1 << 16, from: messages.reader, patienceMilliseconds: 100), as: UTF8.self)
        return said == line
      }
      #expect(isThere, "\(said)")
    }
    // Longer than any picture.
    try directory.write([UInt8](repeating: 1, count: 4 << 20), to: "png")
    takeScreenshot()
    #expect(Self.isPicture(try directory.bytes("png"), [0x33, 0x66, 0x99]))

    let viewer = try SocketPeer(socket)
    _ = try viewer.read(12)
    try viewer.send(Array("RFB 003.008\n".utf8) + [1, 1])
    let name = "kernel - vmm-run"
    let start = try viewer.read(6 + 24 + name.utf8.count)
    #expect(start.suffix(name.utf8.count).elementsEqual(name.utf8))
    // The guest's mode, not the monitor's.
    #expect(Array(start[6..<10]) == [4, 0, 3, 0])
    try viewer.send([2, 0, 0, 1, 0, 0, 0, 0] + [3, 0, 0, 0, 0, 0, 4, 0, 3, 0])
    let first = try update(viewer)
    #expect(first.reduce(0) { $0 + $1.pixels.count } == 4 * 1024 * 768)
    let isFilled = first.allSatisfy { part in
      stride(from: 0, to: part.pixels.count, by: 4).allSatisfy {
        part.pixels[$0..<($0 + 4)].elementsEqual([0x99, 0x66, 0x33, 0xFF])
      }
    }
    #expect(isFilled)

    // A goes down, and its code is in the first tile.
    try viewer.send([3, 1, 0, 0, 0, 0, 4, 0, 3, 0] + [4, 1, 0, 0, 0, 0, 0, 0x61])
    let second = try update(viewer)
    #expect(second.map(\.place) == [[0, 0, 0, 0, 0, 16, 0, 2, 0, 0, 0, 0]])
    #expect(
      second.first.map { Array($0.pixels[..<8]) } == [0x1E, 0, 0, 0xFF, 0x99, 0x66, 0x33, 0xFF])

    takeScreenshot()
    #expect(Self.isPicture(try directory.bytes("png"), [0, 0, 0x1E]))
    program.send(SIGTERM)
    #expect(program.endsByItself() && program.wait() == .status(128 + SIGTERM))
    #expect(Self.isPicture(try directory.bytes("png"), [0, 0, 0x1E]))
    #expect(throws: SocketPeer.Closed.self) { try viewer.read(1) }
  }

  /// The thread that writes it sees to the other signals, too.
  @Test func aScreenshotThatIsNotReadDelaysNoEnd() throws {
    let directory = try TemporaryDirectory()
    let (output, messages) = (try TestPipe(), try TestPipe())
    try directory.write(TestGuest.kernel(Self.guest), to: "kernel")
    let fifo = directory.path("png")
    try #require(unsafe mkfifo(fifo, 0o600) == 0)
    let reader = try OutputFile.open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC, named: "FIFO")
    let program = try Program(
      "run --kernel \(directory.path("kernel")) --memory 64M --screenshot \(fifo)",
      output: .descriptor(output.writer), error: .descriptor(messages.writer))
    #expect(read(1, from: output.reader, patienceMilliseconds: 60_000) == [0x21])
    program.send(SIGUSR2)
    let said = String(
      decoding: read(1, from: messages.reader, patienceMilliseconds: 60_000), as: UTF8.self)
    #expect(said.hasPrefix("vmm-run: no screenshot: cannot write \(fifo): "), "\(said)")
    program.send(SIGTERM)
    #expect(program.endsByItself() && program.wait() == .status(128 + SIGTERM))
    withExtendedLifetime(reader) {}
  }

  /// What a machine leaves is taken back by the thread that may: the viewers' may not.
  @Test(.enabled(if: WrittenPageSourceKind.writeProtect.obstacle == nil, "needs userfaultfd"))
  func anEndWithWriteProtection() throws {
    let directory = try TemporaryDirectory()
    // mov al, 0xFE; out 0x64, al: a reset. Then jmp to itself.
    try directory.write(TestGuest.kernel([0xB0, 0xFE, 0xE6, 0x64, 0xEB, 0xFE]), to: "kernel")
    let program = try Program(
      "run --kernel \(directory.path("kernel")) --memory 64M --display 1280x800"
        + " --vnc unix:\(directory.path("vnc")) --tracking write-protect --on-reset exit",
      output: .null, error: .null)
    #expect(program.wait() == .status(0))
  }
}
