import MachineSpecification
import Testing

@testable import VMMCommand

/// `--display` and `--screenshot`.
@Suite struct ScreenshotTests {
  @Test("a small picture, byte for byte as zlib and its checksums have it")
  func picture() {
    let png = PNGImage(width: 2, lines: [[1, 2, 3, 255, 254, 253], [9, 8, 7, 6, 5, 4]])
    let expected = """
      89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a7300000019494441547801010e00f1\
      ff00010203fffefd000908070605041bba0328533f17d50000000049454e44ae426082
      """
    let hexadecimal = png.bytes.map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined()
    #expect(hexadecimal == expected)
  }

  @Test("data of more than a block are in several, the last one marked")
  func blocks() {
    let line = [UInt8](repeating: 7, count: 3 * 30_000)
    let bytes = PNGImage(width: 30_000, lines: [line]).bytes
    // Signature, header, length and type of the data, zlib's header.
    let first = 8 + 25 + 8 + 2
    #expect(bytes[first..<(first + 5)] == [0, 0xFF, 0xFF, 0, 0])
    let second = first + 5 + 65_535
    let rest = 90_001 - 65_535
    #expect(
      bytes[second..<(second + 5)] == [
        1, UInt8(rest & 0xFF), UInt8(rest >> 8), ~UInt8(rest & 0xFF), ~UInt8(rest >> 8),
      ])
  }

  @Test(
    "a picture brings a display, and needs a file of its own",
    arguments: [([], "1280x800"), (["--display", "1600x1200"], "1600x1200")])
  func options(more: [String], size: String) throws {
    guard
      case .run(let options) = try Invocation(
        ["run", "--kernel", "k", "--screenshot", "k"] + more),
      case .computer(let computer) = options.machine.guest
    else {
      Issue.record("no run of a computer")
      return
    }
    #expect(computer.display == (try DisplaySpec(parsing: size)))
    #expect(computer.usb == nil)
    #expect(options.screenshotPath == "k")
    #expect(throws: RunFiles.Conflict.self) { try options.files.check() }
  }
}
