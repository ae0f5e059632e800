import MachineSpecification
import Testing

struct NetworkSpecTests {
  @Test(arguments: [
    "", "52:54:00:12:34", "52:54:00:12:34:56:78", "52:54:0:12:34:56", "52:54:00:12:34:+5",
    "01:00:5e:00:00:01", "00:00:00:00:00:00", "52-54-00-12-34-56", "52:54:00:12:34:5g",
  ])
  func addressesThatAreNone(text: String) {
    #expect(throws: SpecValueError.self) { try MACAddress(parsing: text) }
  }

  @Test func addressesOfCards() throws {
    #expect(try MACAddress(parsing: "52:54:00:AB:cd:0f").description == "52:54:00:ab:cd:0f")
    #expect(MACAddress(ofCard: 0, in: nil).description == "52:54:00:12:34:56")
    #expect(MACAddress(ofCard: 1, in: nil).description == "52:54:00:12:34:57")
    let uuid = [UInt8](repeating: 0x11, count: 13) + [0xAB, 0xFF, 0xFF]
    #expect(MACAddress(ofCard: 0, in: uuid).description == "52:54:00:ab:ff:ff")
    #expect(MACAddress(ofCard: 1, in: uuid).description == "52:54:00:ac:00:00")
  }

  @Test(arguments: [
    "", "tcp", "tcp:1-:2", "tcp::1", "tcp::1-2", "tcp::0-:2", "tcp::1-:65536", "tcp::+1-:2",
    "icmp::1-:2", "tcp:1.2.3:1-:2", "tcp:1.2.3.256:1-:2", "tcp:host:1-:2", "tcp::1-10.0.2.15:2",
    "tcp::1-:2-:3",
  ])
  func forwardsThatAreNone(text: String) {
    #expect(throws: SpecValueError.self) { try PortForward(parsing: text) }
  }

  @Test func forwards() throws {
    for text in ["tcp::1-:65535", "udp:127.0.0.1:5000-:53"] {
      #expect(try PortForward(parsing: text).description == text)
    }
  }
}
