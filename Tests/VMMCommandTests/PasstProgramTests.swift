import MachineSpecification
import Testing

@testable import VMMCommand

struct PasstProgramTests {
  @Test("what passt is started with, on a host with a default route and without")
  func arguments() throws {
    let forwards = [
      try PortForward(parsing: "tcp:127.0.0.1:3389-:3390"), try PortForward(parsing: "udp::1-:2"),
    ]
    #expect(
      PasstProgram.arguments(forwards, hasRoute: true) == [
        "-f", "-q", "-m", "1500", "--fd", "3", "-t", "127.0.0.1/3389:3390", "-u", "1:2",
      ])
    #expect(
      PasstProgram.arguments([], hasRoute: false) == [
        "-f", "-q", "-m", "1500", "--fd", "3", "-4", "-i", "lo", "-M", "52:55:0a:00:02:02", "-a",
        "10.0.2.15", "-n", "24", "-g", "10.0.2.2",
      ])
  }

  @Test func checkSaysWhatToInstall() {
    #expect(HostCheck.network(nil).cure == "install it: apt install passt")
    let found = HostCheck.network("/usr/bin/passt")
    #expect(found.status == .available && found.detail == "/usr/bin/passt" && found.cure == nil)
  }
}
