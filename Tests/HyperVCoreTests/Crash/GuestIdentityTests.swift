import HyperVCore
import Testing

@Suite("Guest identities, TLFS Reporting the Guest OS Identity")
struct GuestIdentityTests {
  @Test(
    "families and texts",
    arguments: [
      (0x8100_0006_0C76_0000, .linux, "Linux 6.12.118"),
      (0x8100_0007_0304_0000, .linux, "Linux 7.3.4"),
      (0x8200_0000_0000_0000, .freeBSD, "FreeBSD (0x8200000000000000)"),
      (0x0001_040A_0000_4F7C, .windows, "Windows 10.0 build 20348"),
      (0x0001_0406_0101_1DB1, .windows, "Windows 6.1 build 7601 service pack 1"),
      (0x0001_0306_0101_1DB1, .other, "guest 0x1030601011db1"),
      (0x8300_0000_0000_0001, .other, "guest 0x8300000000000001"),
      (0, .other, "a guest without identity"),
    ] as [(UInt64, GuestIdentity.Family, String)])
  func identities(rawValue: UInt64, family: GuestIdentity.Family, text: String) {
    let identity = GuestIdentity(rawValue: rawValue)
    #expect(identity.family == family)
    #expect(identity.description == text)
  }
}
