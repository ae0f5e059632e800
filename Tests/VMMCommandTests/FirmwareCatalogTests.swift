import FoundationEssentials
import MachineSpecification
import Testing

@testable import VMMCommand

/// Which firmware descriptors name: real descriptor files, as distributions have them, in
/// directories of the test's own.
@Suite struct FirmwareCatalogTests {
  private let directory: TemporaryDirectory
  private var catalog: FirmwareCatalog {
    FirmwareCatalog(directories: ["user", "etc", "share"].map { directory.path($0) })
  }

  init() throws {
    directory = try TemporaryDirectory()
    for name in ["user", "etc", "share"] {
      try FileManager.default.createDirectory(
        atPath: directory.path(name), withIntermediateDirectories: false)
    }
    for name in ["CODE.fd", "VARS.fd", "CODE.secboot.fd", "CODE.qcow2", "VARS.qcow2"] {
      try write("", to: name)
    }
  }

  private func write(_ text: String, to name: String) throws {
    try directory.write(Array(text.utf8), to: name)
  }

  /// A descriptor with Debian's words; what a test is about is another one.
  private func descriptor(
    interfaces: String = #""uefi""#, device: String = "flash", mode: String = "",
    code: String = "CODE.fd", template: String? = "VARS.fd", format: String = "raw",
    architecture: String = "x86_64", machines: String = #""pc-i440fx-*", "pc-q35-*""#,
    features: String = #""acpi-s3", "amd-sev", "verbose-dynamic""#
  ) -> String {
    let nvram =
      template.map {
        #", "nvram-template": {"filename": "\#(directory.path($0))", "format": "\#(format)"}"#
      } ?? ""
    return #"""
      {
        "description": "UEFI firmware for x86_64",
        "interface-types": [\#(interfaces)],
        "mapping": {
          "device": "\#(device)", \#(mode)
          "executable": {"filename": "\#(directory.path(code))", "format": "\#(format)"}\#(nvram)
        },
        "targets": [
          {"architecture": "aarch64", "machines": ["virt-*"]},
          {"architecture": "\#(architecture)", "machines": [\#(machines)]}
        ],
        "features": [\#(features)],
        "tags": []
      }
      """#
  }

  private func found(_ descriptor: String) -> FirmwareCatalog.Firmware {
    FirmwareCatalog.Firmware(
      imagePath: directory.path("CODE.fd"), templatePath: directory.path("VARS.fd"),
      descriptorPath: directory.path(descriptor))
  }

  private func secureBoot() -> String {
    descriptor(
      code: "CODE.secboot.fd", machines: #""pc-q35-*""#,
      features: #""acpi-s3", "requires-smm", "secure-boot", "verbose-dynamic""#)
  }

  @Test("as Debian ships them: two with Secure Boot come first and are passed over")
  func debian() throws {
    try write(secureBoot(), to: "share/40-edk2-x86_64-secure-enrolled.json")
    try write(secureBoot(), to: "share/50-edk2-x86_64-secure.json")
    try write(descriptor(), to: "share/60-edk2-x86_64.json")
    let search = catalog.search()
    #expect(search.firmware == found("share/60-edk2-x86_64.json"))
    #expect(
      search.skipped.map(\.reason)
        == Array(repeating: "it is for --secure-boot", count: 2))
  }

  @Test("with Secure Boot: the first that has keys enrolled")
  func secure() throws {
    try write(descriptor(), to: "share/30-plain.json")
    try write(secureBoot(), to: "share/40-edk2-x86_64-secure.json")
    try write(
      descriptor(
        code: "CODE.secboot.fd", machines: #""pc-q35-*""#,
        features: #""requires-smm", "secure-boot", "enrolled-keys""#),
      to: "share/50-edk2-x86_64-secure-enrolled.json")
    try write("", to: "CODE.secboot.fd")
    let search = catalog.search(hasSecureBoot: true)
    #expect(search.firmware?.imagePath == directory.path("CODE.secboot.fd"))
    #expect(
      search.skipped.map(\.reason) == ["it has no Secure Boot", "it has no keys enrolled"])
    var firmware = FirmwareSpec(image: nil)
    firmware.hasSecureBoot = true
    try firmware.findImage(in: catalog)
    #expect(firmware.image == directory.path("CODE.secboot.fd"))
    #expect(firmware.template == directory.path("VARS.fd"))
  }

  @Test("the order of names decides, whatever the directory")
  func order() throws {
    try write(descriptor(), to: "share/50-a.json")
    try write(descriptor(), to: "etc/51-b.json")
    #expect(try catalog.find() == found("share/50-a.json"))
    try write(descriptor(), to: "user/10-c.json")
    #expect(try catalog.find() == found("user/10-c.json"))
    // Bytes decide: digits come before letters, upper case before lower case.
    try write(descriptor(), to: "share/1-Z.json")
    #expect(try catalog.find() == found("share/1-Z.json"))
  }

  @Test("of one name the most specific directory's counts, and an empty one hides the others")
  func masking() throws {
    try write(descriptor(), to: "share/50-a.json")
    try write(descriptor(), to: "share/60-b.json")
    try write(descriptor(), to: "etc/50-a.json")
    #expect(try catalog.find() == found("etc/50-a.json"))
    try write("", to: "etc/50-a.json")
    #expect(try catalog.find() == found("share/60-b.json"))
    try write(descriptor(), to: "user/50-a.json")
    #expect(try catalog.find() == found("user/50-a.json"))
    try FileManager.default.removeItem(atPath: directory.path("user/50-a.json"))
    try FileManager.default.createSymbolicLink(
      atPath: directory.path("user/50-a.json"), withDestinationPath: "/dev/null")
    try FileManager.default.removeItem(atPath: directory.path("etc/50-a.json"))
    #expect(try catalog.find() == found("share/60-b.json"))
    #expect(catalog.search().skipped.isEmpty)
  }

  @Test("what is no descriptor's file is not looked at")
  func otherFiles() throws {
    try write(descriptor(), to: "share/.10-hidden.json")
    try write(descriptor(), to: "share/10-a.json.dpkg-old")
    try write(descriptor(), to: "share/README")
    #expect(catalog.search() == FirmwareCatalog.Search())
    let error = #expect(throws: FirmwareCatalog.Failure.self) { try catalog.find() }
    let places = ["user", "etc", "share"].map { directory.path($0) }.joined(separator: ", ")
    #expect(
      error?.description == "there are no firmware descriptors in \(places); install firmware "
        + "(Debian: ovmf), or name an image with --firmware FILE")
  }

  @Test("what does not fit is passed over with its reason")
  func obstacles() throws {
    let machine = "which this machine does not have"
    let cases = [
      (descriptor(interfaces: #""bios""#), "it is not UEFI"),
      (
        descriptor(architecture: "i386"), "it is for other machines than x86_64 with q35"
      ),
      (
        descriptor(machines: #""microvm", "pc-i440fx-*""#),
        "it is for other machines than x86_64 with q35"
      ),
      (secureBoot(), "it is for --secure-boot"),
      (descriptor(features: #""secure-boot""#), "it is for --secure-boot"),
      (
        descriptor(features: #""host-uefi-vars""#), "it needs variables that QEMU keeps, \(machine)"
      ),
      (descriptor(device: "memory"), "it is not for flash"),
      (
        descriptor(mode: #""mode": "stateless","#, template: nil), "it has no file of variables"
      ),
      (
        descriptor(mode: #""mode": "combined","#), "it has no file of variables"
      ),
      (
        descriptor(code: "CODE.qcow2", template: "VARS.qcow2", format: "qcow2"),
        "\(directory.path("CODE.qcow2")) is a qcow2 image, not raw"
      ),
      (
        descriptor(template: "gone.fd"), "\(directory.path("gone.fd")) cannot be read"
      ),
      ("{", "it is no descriptor of firmware"),
      (#"{"mapping": 3}"#, "it is no descriptor of firmware"),
    ]
    for (index, (text, _)) in cases.enumerated() {
      try write(text, to: "etc/\(10 + index)-a.json")
    }
    try FileManager.default.createDirectory(
      atPath: directory.path("etc/90-directory.json"), withIntermediateDirectories: false)
    let reasons = cases.map { $0.1 } + ["it cannot be read"]
    #expect(catalog.search().skipped.map(\.reason) == reasons)
    let error = #expect(throws: FirmwareCatalog.Failure.self) { try catalog.find() }
    let message = try #require(error).description
    #expect(message.contains("fits (10-a.json: it is not UEFI; 11-a.json: it is for other"))
    try write(descriptor(mode: #""mode": "split","#), to: "share/99-fits.json")
    #expect(try catalog.find() == found("share/99-fits.json"))
  }

  @Test("where descriptors are, by the environment")
  func places() {
    let common = ["/etc/qemu/firmware", "/usr/share/qemu/firmware"]
    func directories(_ environment: [String: String]) -> [String] {
      FirmwareCatalog.ofHost { environment[$0] }.directories
    }
    #expect(directories([:]) == common)
    #expect(directories(["HOME": "/home/a"]) == ["/home/a/.config/qemu/firmware"] + common)
    #expect(
      directories(["HOME": "/home/a", "XDG_CONFIG_HOME": "/x"]) == ["/x/qemu/firmware"] + common)
    #expect(
      directories(["HOME": "/home/a", "XDG_CONFIG_HOME": "x"])
        == ["/home/a/.config/qemu/firmware"] + common)
    #expect(directories(["HOME": "a", "XDG_CONFIG_HOME": ""]) == common)
  }

  @Test("what is found becomes the image and its template; what was named stays")
  func options() throws {
    try write(descriptor(), to: "share/60-edk2-x86_64.json")
    var firmware = FirmwareSpec(image: nil)
    try firmware.findImage(in: catalog)
    #expect(firmware.image == directory.path("CODE.fd"))
    #expect(firmware.template == directory.path("VARS.fd"))
    var own = FirmwareSpec(image: nil)
    own.template = "mine.fd"
    try own.findImage(in: catalog)
    #expect(own.image == directory.path("CODE.fd") && own.template == "mine.fd")
    var named = FirmwareSpec(image: "f")
    try named.findImage(in: catalog)
    #expect(named == FirmwareSpec(image: "f"))
    var nothing = FirmwareSpec(image: nil)
    #expect(throws: FirmwareCatalog.Failure.self) {
      try nothing.findImage(in: FirmwareCatalog(directories: [directory.path("etc")]))
    }
  }

  @Test("check names what it found, or why nothing fits")
  func check() throws {
    try write(secureBoot(), to: "share/50-edk2-x86_64-secure.json")
    let missing = HostCheck.firmware(catalog)
    #expect(missing.status == .missing && missing.cure == FirmwareCatalog.cure)
    #expect(missing.detail.contains("50-edk2-x86_64-secure.json: it is for --secure-boot"))
    try write(descriptor(), to: "share/60-edk2-x86_64.json")
    let available = HostCheck.firmware(catalog)
    #expect(available.status == .available && available.cure == nil)
    #expect(
      available.detail == "\(directory.path("CODE.fd")), variables from "
        + "\(directory.path("VARS.fd")), by \(directory.path("share/60-edk2-x86_64.json"))")
  }
}
