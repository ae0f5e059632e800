import MachineSpecification
import RemoteFramebuffer
import Testing

@testable import VMMCommand

/// `--vnc` and what belongs to it.
struct VNCOptionsTests {
  private static func options(_ more: [String]) throws -> VNCOptions? {
    let invocation = try Invocation(
      ["run", "--kernel", "k", "--display", "1280x800"] + more)
    guard case .run(let options) = invocation else {
      Issue.record("no run")
      return nil
    }
    return options.vnc
  }

  @Test("An address, a password's file, a layout; none is none")
  func parsed() throws {
    let options = try #require(try Self.options(["--vnc", ":1"]))
    #expect(options.address == .tcp(host: "127.0.0.1", port: 5901))
    #expect(options.passwordFile == nil && options.layout == .us)
    let others = try #require(
      try Self.options([
        "--vnc", "0.0.0.0:0", "--vnc-password-file", "p", "--vnc-keyboard", "de",
      ]))
    #expect(others.address == .tcp(host: "0.0.0.0", port: 5900))
    #expect(others.passwordFile == "p" && others.layout == .de)
    #expect(try Self.options(["--vnc", "none"]) == nil)
    let free = try #require(try Self.options(["--vnc", "auto"]))
    #expect(free.address == nil)
    #expect(try Self.options(["--vnc", "unix:/x"])?.address == .unix(path: "/x"))
  }

  @Test(
    "What cannot be is refused in one line",
    arguments: [
      (
        ["--vnc", "0.0.0.0:1"],
        "option '--vnc': other hosts reach '0.0.0.0:1': give '--vnc-password-file FILE' too, or an"
          + " address of this host alone"
      ),
      (
        ["--vnc", "5900"],
        "option '--vnc': '5900' is not [HOST]:DISPLAY, unix:PATH, auto or none; a host is localhost or"
          + " an address in numbers, a display 0 to 59635"
      ),
      (
        ["--vnc", ":0", "--vnc-keyboard", "fr"],
        "option '--vnc-keyboard': 'fr' is not one of us, de"
      ),
      (["--vnc-keyboard", "de"], "option '--vnc-keyboard' works only together with '--vnc WHERE'"),
    ] as [([String], String)])
  func refused(arguments: [String], message: String) {
    let error = #expect(throws: UsageError.self) { try Self.options(arguments) }
    #expect(error?.description == message)
  }

  @Test("Viewers bring a display; a flat program has none")
  func display() throws {
    guard case .run(let options) = try Invocation(["run", "--kernel", "k", "--vnc", ":0"]),
      case .computer(let computer) = options.machine.guest
    else {
      Issue.record("no run of a computer")
      return
    }
    #expect(computer.display == .usual)
    #expect(computer.usb == [.tablet])
    let error = #expect(throws: UsageError.self) {
      try Invocation(["run", "--program", "p", "--vnc", ":0"])
    }
    #expect(
      error
        == .missingCompanion(option: "--vnc", needs: "--kernel FILE' or '--firmware FILE"))
  }
}
