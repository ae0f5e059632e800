import Foundation
import Glibc
import HostSystem
import MachineSpecification
import RemoteFramebuffer
import Sandbox
import Synchronization
import TestSupport
import Testing
import VMM

/// From a viewer's key to its screen: a guest puts each code of its keyboard into the first pixel,
/// and says so when it has.
@Suite(
  .enabled(if: Host.hasKVM, "needs read-write /dev/kvm"), .serialized, .timeLimit(.minutes(10)))
struct KeyToScreenTests {
  /// Configuration registers of the display in slot 30.
  private static let display: UInt32 = 0xB000_0000 | 30 << 15

  /// Sets a mode of 320x200 and prints a byte of 0; then each code goes into the first pixel, and
  /// after that to the serial port.
  private static let guest: [UInt8] = {
    var code = KernelCode.store(display + 4, 2)
    // and eax, -16; mov ebx, eax
    code += KernelCode.load(display + 0x18) + [0x83, 0xE0, 0xF0, 0x89, 0xC3]
    // and eax, -16; mov esi, eax
    code += KernelCode.load(display + 0x10) + [0x83, 0xE0, 0xF0, 0x89, 0xC6]
    for (register, value) in [
      (4, 0), (8, 0), (9, 0), (3, 32), (1, 320), (6, 320), (2, 200), (4, 0x41),
    ] as [(UInt32, UInt16)] {
      // mov word [rbx + register], value
      code += [0x66, 0xC7, 0x83] + KernelCode.bytes(0x500 + 2 * register)
      code += [UInt8(value & 0xFF), UInt8(value >> 8)]
    }
    code += KernelCode.out(0x3F8, 0, width: 1)
    // next: in al, 0x64; test al, 1; jz next; in al, 0x60; movzx eax, al; mov [rsi], eax
    code += [0xE4, 0x64, 0xA8, 0x01, 0x74, 0xFA, 0xE4, 0x60, 0x0F, 0xB6, 0xC0, 0x89, 0x06]
    // mov dx, 0x3F8; out dx, al; jmp next
    return code + [0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xEB, 0xEC]
  }()

  /// A frame is a look: there are 30 in a second.
  @Test("what a guest writes for a key is in the next look's update")
  func nextLook() async throws {
    let path = "/tmp/vmm-run-keys-\(getpid())"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let server = try VNCServer(
      try VNCListener(.unix(path: path)), VNCServer.Settings(name: "keys"),
      onThreadStart: {
        var policy = SandboxPolicy()
        policy.servesViewers = true
        ThreadFilter.enter(.viewer, policy)
      })
    defer { server.stop() }
    // What the guest printed, with the looks that had begun by then.
    let written = WrittenCodes()
    var configuration = MachineConfiguration.confined(
      .linux(
        LinuxGuest(
          kernel: BootFile(SyntheticImages.bzImage(code: Self.guest), name: "synthetic"),
          commandLine: "")),
      memoryByteCount: 64 << 20)
    configuration.computer.display = .usual
    configuration.computer.serialOutput = { code in
      written.append(code, looks: server.counts.looks)
    }
    let control = MachineControl()
    let machine = try Machine(configuration, control: control)
    let computer = try #require(machine.computer)
    server.show(ShownMachine(display: computer.display, keyboard: computer.keyboard))
    async let outcome = machine.runOnThread()
    try waitUntil { written.all.count == 1 }

    let viewer = try SocketPeer(path)
    _ = try viewer.read(12)
    try viewer.send(Array("RFB 003.008\n".utf8) + [1, 1])
    _ = try viewer.read(6 + 24 + "keys".utf8.count)
    // Raw pixels; all of them first.
    try viewer.send([2, 0, 0, 1, 0, 0, 0, 0] + Self.request(0))
    #expect(try Self.updates(viewer).reduce(0) { $0 + $1.count } == 4 * 320 * 200)
    var late = 0
    for turn in 0..<20 {
      let isDown = turn.isMultiple(of: 2)
      try viewer.send(Self.request(1) + [4, isDown ? 1 : 0, 0, 0, 0, 0, 0, 0x61])
      let update = try Self.updates(viewer)
      let looks = server.counts.looks
      let code: UInt8 = isDown ? 0x1E : 0x9E
      #expect(update.count == 1 && update[0].first == code, "turn \(turn)")
      // The guest says so after it has written.
      try waitUntil { written.all.count == turn + 2 }
      #expect(written.all.last?.code == code)
      // A look that had begun may have come too early, the next one has it.
      if let before = written.all.last?.looks, looks > before + 1 { late += 1 }
    }
    #expect(late == 0)
    control.end(with: .stopped)
    guard case .stopped = await outcome else {
      Issue.record("the machine did not end as it was told")
      return
    }
    server.show(ShownMachine())
  }

  /// For all of the picture, or what of it changed.
  private static func request(_ isIncremental: UInt8) -> [UInt8] {
    [3, isIncremental, 0, 0, 0, 0, 1, 0x40, 0, 200]
  }

  /// An update's rectangles of raw pixels.
  private static func updates(_ viewer: SocketPeer) throws -> [[UInt8]] {
    let head = try viewer.read(4)
    #expect(head[0] == 0)
    return try (0..<(Int(head[2]) << 8 | Int(head[3]))).map { _ in
      let place = try viewer.read(12)
      let width = Int(place[4]) << 8 | Int(place[5])
      let height = Int(place[6]) << 8 | Int(place[7])
      return try viewer.read(4 * width * height)
    }
  }
}

/// Codes that a guest printed, in their order. Any thread.
private final class WrittenCodes: Sendable {
  private let codes = Guarded<[(code: UInt8, looks: Int)]>([])

  var all: [(code: UInt8, looks: Int)] { codes.withLock { $0 } }

  func append(_ code: UInt8, looks: Int) { codes.withLock { $0.append((code, looks)) } }
}
