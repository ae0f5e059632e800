import HyperVCore
import Testing

@testable import MachineSpecification

/// Lists of enlightenments, as options and files have them.
@Suite struct EnlightenmentChoiceTests {
  private func choice(_ text: String) throws -> EnlightenmentChoice {
    try EnlightenmentChoice(parsing: text)
  }

  @Test(arguments: Enlightenments.names)
  func everyFeatureByName(name: String) throws {
    let feature = try #require(Enlightenments.named(name))
    let needed = Enlightenments.requirements(of: feature).members.map(\.description)
    let set = feature.union(Enlightenments.requirements(of: feature))
    let list = ([name] + needed).joined(separator: ",")
    #expect(try choice(list) == EnlightenmentChoice(selection: .exactly(set)))
    #expect(
      try choice("none," + list).selection == EnlightenmentSelection(.none, adding: set))
    #expect(
      try choice("default,+\(name)").selection
        == EnlightenmentSelection(.recommended, adding: feature))
    #expect(
      try choice("all,-\(name)").selection == EnlightenmentSelection(.all, removing: feature))
  }

  @Test func sets() throws {
    #expect(try choice("none").selection == .exactly([]))
    #expect(try choice("default") == EnlightenmentChoice())
    #expect(try choice("all").selection == EnlightenmentSelection(.all))
    #expect(
      try choice(Enlightenments.names.joined(separator: ",")).selection == .exactly(.all))
    // A plain name behind a first word is added.
    #expect(
      try choice("default,vapic,-reset").selection
        == EnlightenmentSelection(.recommended, adding: .virtualAPIC, removing: .reset))
    #expect(try choice("avic").selection == .exactly(.apicVirtualization))
  }

  @Test func values() throws {
    var expected = EnlightenmentChoice()
    expected.parameters.spinRetryCount = 8191
    #expect(try choice("spinlocks=8191") == expected)
    #expect(try choice("default,spinlocks=0x1fff") == expected)
    expected.parameters.version = HypervisorVersion(major: 10, minor: 0, build: 20348)
    expected.parameters.vendor = try #require(HypervisorVendor("a=b -+"))
    expected.selection = .exactly(.time)
    #expect(try choice("version=10.0.20348,time,vendor-id=a=b -+,spinlocks=8191") == expected)
    #expect(try choice("spinlocks=1").parameters.spinRetryCount == 1)
    #expect(try choice("spinlocks=4294967294").parameters.spinRetryCount == 0xFFFF_FFFE)
  }

  private static let names = Enlightenments.names.joined(separator: ", ")
  private static let keys = "spinlocks=N, version=10.0.20348, vendor-id=TEXT"

  @Test(arguments: [
    ("vpidnex,time", "'vpidnex' is not one of \(names), \(keys); did you mean 'vpindex'?"),
    ("nnoe", "'nnoe' is not one of \(names), none, default, all, \(keys); did you mean 'none'?"),
    ("default,+vapci", "'vapci' is not one of \(names), \(keys); did you mean 'vapic'?"),
    ("relaxed,none", "'none' can only be the first word"),
    ("none,-all", "'-all' can only be the first word"),
    ("default,default", "'default' can only be the first word"),
    ("relaxed,,time", "'' is not one of \(names), \(keys)"),
    ("default,", "'' is not one of \(names), \(keys)"),
    ("default,-", "'' is not one of \(names), \(keys)"),
    (
      "-vapic",
      "begin with none, default or all, so that '-vapic' has something to change: "
        + "'default,-vapic'"
    ),
    ("time,time", "'time' is there twice"),
    ("default,+time,-time", "'time' is there twice"),
    ("default,avic,-apicv", "'apicv' is there twice"),
    ("spinlocks=1,spinlocks=1", "'spinlocks' is there twice"),
    (
      "synic",
      "cannot enable Hyper-V enlightenment synic without vpindex; add vpindex or remove synic"
    ),
    (
      "none,stimer-direct,vpindex,time",
      "cannot enable Hyper-V enlightenment stimer-direct without synic,stimer; "
        + "add synic,stimer or remove stimer-direct"
    ),
    ("spinlocks", "'spinlocks' needs a value: 'spinlocks=N'"),
    ("default,version=", "'version' needs a value: 'version=10.0.20348'"),
    (
      "none,vendor-id=x",
      "values without any enlightenment have no meaning; add one or leave them out"
    ),
  ])
  func message(list: String, message: String) {
    let error = #expect(throws: SpecValueError.self) { try choice(list) }
    #expect(error?.description == message && error?.part == "")
  }

  @Test(arguments: [
    ("spinlocks=0", "a number of tries from 1 to 4294967294, such as 4095"),
    ("spinlocks=4294967295", "a number of tries from 1 to 4294967294, such as 4095"),
    ("spinlocks=0x", "a number of tries from 1 to 4294967294, such as 4095"),
    ("version=10", "a version such as 10.0.20348, 10.0.20348.1 or 10.0.20348.1-0-0"),
    ("vendor-id=1234567890123", "a text of 1 to 12 printable ASCII characters"),
  ])
  func wrongValue(word: String, expected: String) {
    let error = #expect(throws: SpecValueError.self) { try choice(word) }
    let parts = word.split(separator: "=")
    #expect(error?.description == "'\(parts[1])' is not \(expected)")
    #expect(error?.part == "\(parts[0])=")
  }
}
