import HyperVCore
import TestSupport
import Testing

@Suite("Hypercall page for userspace, TLFS Establishing the Hypercall Interface", .onVCPUThread)
struct HypercallPageTests {
  @Test("out imm8, al; ret; breakpoints", arguments: [0, 0x80, 0xE9, 0xFF] as [UInt8])
  func code(port: UInt8) {
    let bytes = HypercallPage.code(port: port)
    #expect(bytes.count == 4096)
    #expect(Array(bytes[..<3]) == [0xE6, port, 0xC3])
    #expect(bytes[3...].allSatisfy { $0 == 0xCC })
    #expect(HypercallPage.instructionByteCount == 2)
  }

  struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let expected: HypercallAdmission
    var isProtectedMode = true
    var privilegeLevel = 0
    var guestOSID: UInt64 = 1
    var page: UInt64? = 5
    var instruction: UInt64? = 0x5000
    var testDescription: String { name }
  }

  static let vectors = [
    Vector(name: "the guest's kernel, at the start of the page", expected: .accept),
    Vector(name: "page 0", expected: .accept, page: 0, instruction: 0),
    Vector(
      name: "last page", expected: .accept, page: (1 << 52) - 1, instruction: .max - 0xFFF),
    Vector(name: "real mode", expected: .invalidOpcode(.realMode), isProtectedMode: false),
    Vector(name: "CPL 1", expected: .invalidOpcode(.privilegeLevel), privilegeLevel: 1),
    Vector(name: "CPL 2", expected: .invalidOpcode(.privilegeLevel), privilegeLevel: 2),
    Vector(name: "CPL 3", expected: .invalidOpcode(.privilegeLevel), privilegeLevel: 3),
    Vector(name: "no such CPL", expected: .invalidOpcode(.privilegeLevel), privilegeLevel: -1),
    Vector(name: "no identity", expected: .invalidOpcode(.noGuestOSID), guestOSID: 0),
    Vector(name: "no page", expected: .invalidOpcode(.pageDisabled), page: nil),
    Vector(name: "page before", expected: .invalidOpcode(.outsidePage), instruction: 0x4000),
    Vector(
      name: "straddling from before", expected: .invalidOpcode(.outsidePage), instruction: 0x4FFF),
    Vector(name: "page after", expected: .invalidOpcode(.outsidePage), instruction: 0x6000),
    Vector(name: "untranslatable", expected: .invalidOpcode(.outsidePage), instruction: nil),
    Vector(name: "second byte", expected: .invalidOpcode(.wrongOffset), instruction: 0x5001),
    Vector(name: "the return", expected: .invalidOpcode(.wrongOffset), instruction: 0x5002),
    Vector(name: "end of page", expected: .invalidOpcode(.wrongOffset), instruction: 0x5FFF),
    Vector(
      name: "everything wrong", expected: .invalidOpcode(.realMode), isProtectedMode: false,
      privilegeLevel: 3, guestOSID: 0, page: nil, instruction: nil),
  ]

  @Test("admission", arguments: vectors)
  func admission(vector: Vector) {
    let admission = HypercallPage.admits(
      isProtectedMode: vector.isProtectedMode, privilegeLevel: vector.privilegeLevel,
      guestOSID: vector.guestOSID, hypercallPage: vector.page,
      instructionAddress: vector.instruction.map { GuestAddress(rawValue: $0) })
    #expect(admission == vector.expected)
    // The same in one word, whatever the lock and the reserved bits say.
    for bits in [0, 2, 0xFFE] as [UInt64] {
      let state = HypercallAdmissionState(
        guestOSID: vector.guestOSID << 63,
        hypercall: OverlayPageMSR(rawValue: vector.page.map { $0 << 12 | 1 | bits } ?? bits))
      let admission = HypercallAdmissionState(rawValue: state.rawValue).admits(
        isProtectedMode: vector.isProtectedMode, privilegeLevel: vector.privilegeLevel,
        instructionAddress: vector.instruction.map { GuestAddress(rawValue: $0) })
      #expect(admission == vector.expected)
    }
  }

  @Test("no state, no hypercall")
  func noState() {
    let admission = HypercallAdmissionState(rawValue: 0).admits(
      isProtectedMode: true, privilegeLevel: 0, instructionAddress: GuestAddress(rawValue: 0))
    #expect(admission == .invalidOpcode(.noGuestOSID))
  }

  @Test("every reason has its own words")
  func reasons() {
    let texts = HypercallAdmission.Reason.allCases.map(\.description)
    #expect(Set(texts).count == 6 && !texts.contains(""))
  }

  @Test("the registers admit with the state they hold")
  func registers() {
    func admission(_ fixture: MSRFixture, _ instruction: UInt64) -> HypercallAdmission {
      fixture.registers.admitsHypercall(
        isProtectedMode: true, privilegeLevel: 0,
        instructionAddress: GuestAddress(rawValue: instruction))
    }
    var fixture = MSRFixture()
    #expect(admission(fixture, 0x5000) == .invalidOpcode(.noGuestOSID))
    _ = fixture.write(.guestOSID, 1)
    #expect(admission(fixture, 0x5000) == .invalidOpcode(.pageDisabled))
    _ = fixture.write(.hypercall, 0x5003)
    #expect(admission(fixture, 0x5000) == .accept)
    #expect(admission(fixture, 0x6000) == .invalidOpcode(.outsidePage))
    // Locked, the page outlives the identity, but answers nobody.
    _ = fixture.write(.guestOSID, 0)
    #expect(fixture.registers.hypercallPage == 5)
    #expect(admission(fixture, 0x5000) == .invalidOpcode(.noGuestOSID))
  }
}
