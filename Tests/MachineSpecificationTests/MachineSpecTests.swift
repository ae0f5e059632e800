import Foundation
import HyperVCore
import SMBIOS
import Testing
import ZeroTracker

@testable import MachineSpecification

/// Machines as JSON: each comes back as it was, and what is wrong is named by its place.
@Suite struct MachineSpecTests {
  private func read(_ json: String) throws(MachineSpecError) -> MachineSpec {
    try MachineSpec(json: Array(json.utf8))
  }

  /// One with everything that differs from the defaults.
  private static var everything: MachineSpec {
    get throws {
      var firmware = FirmwareSpec(image: "a \"b\"\\\n\u{10FFE9}.fd")
      firmware.variables = "v"
      firmware.template = "t"
      firmware.keepsVariables = false
      firmware.uuid = SystemUUID("00112233-4455-6677-8899-aabbccddeeff")
      firmware.smbiosTexts[.serial] = "a,b"
      firmware.smbiosTexts[.asset] = "c"
      firmware.smbiosTexts.addOEMString("d")
      firmware.bootOrder = [.disk(1), .cdrom(1), .cdrom(0), .disk(0)]
      firmware.attachments = [.init(name: "opt/a", file: "b"), .init(name: "opt/c", file: "d")]
      var computer = ComputerSpec(.firmware(firmware))
      computer.disks = [
        DiskSpec(
          file: "x,y", isReadOnly: true, isKnownRaw: true, serial: "s", sectorByteCount: 4096),
        DiskSpec(file: "z"),
      ]
      computer.disks[1].bus = .ahci
      computer.cdroms = [
        CDROMSpec(file: "i", nextFiles: ["j", "k"]), CDROMSpec(),
      ]
      computer.serial = .file(LogFileSpec(file: "log", appends: true))
      computer.display = DisplaySpec(width: 1920, height: 1080)
      computer.usb = [.keyboard, .tablet]
      computer.tpm = .directory("t,u")
      var network = NetworkSpec(.user([try! PortForward(parsing: "tcp:127.0.0.1:22-:2222")]))
      network.address = try! MACAddress(parsing: "52:54:00:aB:cd:ef")
      computer.networks = [
        network, NetworkSpec(.passt(path: "/s")), NetworkSpec(.socket(descriptor: 7)),
        NetworkSpec(.tap(try! InterfaceName("tap0"))),
      ]
      computer.randomNumbers = .off
      computer.balloon = BalloonSpec(targetPageCount: 3)
      computer.hasVMBus = true
      computer.clock = .local
      computer.onCrash = .ignore
      computer.onReset = .exit
      var partition = PartitionSpec(memory: ByteCount(5 << 30 | 4096))
      partition.vcpuCount = 64
      partition.memory.backing = .hugetlb
      partition.memory.isPreallocated = true
      partition.memory.hints = MemoryHints.none
      partition.memory.usesTransparentHugePages = true
      partition.tracking.source = .writeProtect
      partition.tracking.policy = .always
      partition.tracking.granularity = try TrackingGranularity(byteCount: 2 << 20)
      partition.tracking.refinement = .off
      partition.tracking.verifiesZeroedMemory = true
      partition.hyperV.transport = .userspace
      partition.hyperV.isNested = true
      partition.hyperV.features.selection = EnlightenmentSelection(
        .all, adding: [.enlightenedVMCS], removing: [.crash, .reset])
      partition.hyperV.features.parameters.spinRetryCount = 4095
      partition.hyperV.features.parameters.version = try #require(HypervisorVersion("1.2.3.4-5-6"))
      partition.hyperV.features.parameters.vendor = try #require(HypervisorVendor("a,b"))
      return MachineSpec(.computer(computer), partition)
    }
  }

  @Test("everything comes back, by our own JSON and by an encoder's")
  func everythingComesBack() throws {
    let machine = try Self.everything
    #expect(try read(machine.json) == machine)
    #expect(try read(machine.json).json == machine.json)
    let encoded = try JSONEncoder().encode(machine)
    #expect(try JSONDecoder().decode(MachineSpec.self, from: encoded) == machine)
  }

  @Test("what is left out has its default")
  func defaults() throws {
    #expect(
      try read(#"{"version": 1, "program": {"file": "p"}}"#) == MachineSpec(.program(file: "p")))
    #expect(
      try read(#"{"version": 1, "kernel": {"file": "k"}, "disks": null, "vcpus": 1}"#)
        == MachineSpec(.computer(ComputerSpec(.kernel(KernelSpec(file: "k"))))))
    #expect(
      try read(#"{"firmware": {}, "version": 1}"#)
        == MachineSpec(.computer(ComputerSpec(.firmware(FirmwareSpec(image: nil))))))
  }

  @Test("each of them comes back", arguments: ["program", "kernel", "firmware"])
  func boots(member: String) throws {
    let machine = try read(
      #"{"version": 1, "\#(member)": {"\#(member == "firmware" ? "image" : "file")": "f"}}"#)
    #expect(try read(machine.json) == machine)
  }

  @Test("sizes as text and as bytes")
  func sizes() throws {
    let machine = try read(
      #"{"version": 1, "kernel": {"file": "k"}, "memory": {"size": 8192}, "tracking": {"refine": 5}}"#
    )
    #expect(machine.partition.memory.byteCount == .kibi(8))
    #expect(machine.partition.tracking.refinement == .reading(ByteCount(5)))
  }

  @Test("trimming, and what it cannot be with")
  func trimming() throws {
    func text(_ members: String) -> String {
      #"{"version": 1, "kernel": {"file": "k"}, \#(members)}"#
    }
    let machine = try read(text(#""tracking": {"trimAtAnswer": 250}"#))
    #expect(machine.partition.tracking.trimMilliseconds == 250)
    #expect(try read(machine.json) == machine)
    for (members, message) in [
      (
        #""tracking": {"trimAtAnswer": 0}"#,
        "tracking.trimAtAnswer: 0 is not a number from 1 to 10000"
      ),
      (
        #""tracking": {"trimAtAnswer": 1}, "memory": {"preallocated": true}"#,
        "tracking.trimAtAnswer: cannot be with --prealloc: that memory is not given back"
      ),
      (
        #""tracking": {"trimAtAnswer": 1, "source": "write-protect"}"#,
        "tracking.trimAtAnswer: cannot be with --tracking write-protect: what is given back would"
          + " not be reported as zero"
      ),
    ] {
      let error = #expect(throws: MachineSpecError.self) { try read(text(members)) }
      #expect(error.map { "\($0)" }?.hasSuffix(message) == true, "\(String(describing: error))")
    }
  }

  @Test(
    "what is wrong, and where",
    arguments: [
      ("", "is not JSON: line 1, column 1: a value is missing"),
      ("[]", "is a list and should be an object"),
      ("{}", "version: is missing; write 1"),
      (#""version": 2"#, "version: 2 is newer than this program, which knows 1"),
      (#""version": "1""#, "version: is a text and should be a number"),
      (#""version": {"a": []}"#, "version: is an object and should be a number"),
      (#""version": 1"#, "a machine starts with one of the members program, kernel and firmware"),
      (
        #""version": 1, "kernel": {"file": "k"}, "firmware": {}"#,
        "a machine starts with one of the members program, kernel and firmware"
      ),
      (#""version": 1, "kernel": {}"#, "kernel.file: is missing"),
      (#""version": 1, "kernel": "k""#, "kernel: is a text and should be an object"),
      (
        #""version": 1, "kernel": {"file": ""}"#,
        "kernel.file: is empty; leave it out or write a value"
      ),
      (
        #""version": 1, "kernel": {"file": "a\u0000b"}"#,
        "kernel.file: has a NUL, which nothing takes"
      ),
      (
        #""version": 1, "kernel": {"file": "k", "initrd": 3}"#,
        "kernel.initrd: is a number and should be a text"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "vpcus": 2"#,
        "has no member 'vpcus'; did you mean 'vcpus'?"
      ),
      (
        #""version": 1, "kernel": {"file": "k", "colour": 2}"#,
        "kernel: has no member 'colour'; members are file, initrd, commandLine"
      ),
      (
        #""version": 1, "program": {"file": "p"}, "disks": []"#,
        "has no member 'disks'; members are "
          + "version, program, kernel, firmware, vcpus, memory, tracking, paravirtualization, hyperV"
      ),
      (
        #""version": 1, "program": {"file": "p"}, "vcpus": 5"#,
        "vcpus: 5 is not a number from 1 to 4"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "vcpus": 65"#,
        "vcpus: 65 is not a number from 1 to 64"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "vcpus": 1.5"#,
        "vcpus: 1.5 is not a number from 1 to 64"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "memory": {"size": "5000"}"#,
        "memory.size: 5000 is not a whole number of 4 KiB pages"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "memory": {"size": 0}"#,
        "memory.size: '0' is no memory at all; write for example 512M or 4G"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "memory": {"backing": "memdf"}"#,
        "memory.backing: 'memdf' is not one of anonymous, memfd, hugetlb; did you mean 'memfd'?"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "tracking": {"granularity": "3M"}"#,
        "tracking.granularity: 3M is not a power of two from 4K to 32M"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "tracking": {"policy": "until-answered=x"}"#,
        "tracking.policy: until-answered: 'x' is not a number from 0 to 86400"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "hyperV": {"features": "default,+evmcs"}"#,
        "hyperV.features: evmcs works only together with hyperV.nested"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "paravirtualization": "kwm""#,
        "paravirtualization: 'kwm' is not one of hyperv, kvm"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "hyperV": {"features": "relaxd"}"#,
        "hyperV.features: 'relaxd' is not one of "
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "hyperV": {"vendorID": "1234567890123"}"#,
        "hyperV.vendorID: '1234567890123' is not a text of 1 to 12 printable ASCII characters"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "disks": [{"file": "a"}, {"path": "b"}]"#,
        "disks[1].file: is missing"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "disks": [{"file": "a", "serial": " x"}]"#,
        "disks[0].serial: ' x' is no serial number"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "disks": [{"file": "a", "blockSize": 1024}]"#,
        "disks[0].blockSize: '1024' is not one of 512, 4096"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "disks": [{"file": "a", "serial": "x"}, {"file": "b", "serial": "x"}]"#,
        "disks: two disks have the serial number 'x'"
      ),
      (
        #""version": 1, "firmware": {"bootOrder": ["disk0"]}"#,
        "firmware.bootOrder: there is neither a disk nor a CD drive to start from"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "cdroms": [{}, {}, {}, {}, {}, {}, {}]"#,
        "cdroms: 7 drives and disks on the SATA adapter are too many; at most 6 fit"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "cdroms": [{"next": ["a", ""]}]"#,
        "cdroms[0].next[1]: is empty"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "cdroms": [{"next": [1]}]"#,
        "cdroms[0].next[0]: is a number and should be a text"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "vcpus": 1, "vcpus": 2"#,
        "vcpus: is there twice; leave one of them out"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "disks": [{"file": "a", "f\u0069le": "b"}]"#,
        "disks[0].file: is there twice"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "vcpus": 1, "vcpus": null"#,
        "vcpus: is there twice"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "memory": {"size": 1.5}"#,
        #"memory.size: 1.5 is not a whole number of bytes; write one, or a text with a unit such as "1536M""#
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "memory": {"size": 1e30}"#,
        "memory.size: 1e+30 is too large; write a whole number of bytes, or a text"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "memory": {"size": true}"#,
        #"memory.size: is true or false and should be a number of bytes, or a text such as "4G""#
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "memory": {"size": -8192}"#,
        "memory.size: '-8192' is not a size"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "memory": {"size": ""}"#,
        "memory.size: is empty"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "serial": "tty""#,
        "serial: 'tty' is not one of stdio, pty and none, or an object with a file"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "display": "640x480""#,
        "display: '640x480' is no size such as 1280x800, from 1024x768 to 4095x4095"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "usb": ["tablets"]"#,
        "usb: 'tablets' is not one of tablet, keyboard; did you mean 'tablet'?"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "networks": [{"user": {}, "passt": "s"}]"#,
        "networks[0]: a network has one of the members user, passt, tap and socket"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "networks": [{"user": {"forwards": ["tcp:1"]}}]"#,
        "networks[0].user.forwards: 'tcp:1' is not as tcp:127.0.0.1:3389-:3389 or udp::5000-:5000: a"
          + " protocol, an IPv4 address of this host or none, its port, and the guest's port"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "networks": [{"socket": 2}]"#,
        "networks[0].socket: 2 is not a number from 3 to 2147483647"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "usb": ["tablet", "tablet"]"#,
        "usb: 'tablet' is there twice"
      ),
      (
        #""version": 1, "firmware": {"smbios": {"serial": "a "}}"#,
        "firmware.smbios.serial: 'a ' is no text of 1 to 64 characters"
      ),
      (
        #""version": 1, "firmware": {"smbios": {"oem": ["\u00e9"]}}"#,
        "firmware.smbios.oem: '\u{e9}' is no text of 1 to 255 characters"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "tpm": {}"#,
        "tpm: a TPM has one of the members directory and socket"
      ),
      (
        #""version": 1, "kernel": {"file": "k"}, "tpm": {"directory": "a", "socket": "b"}"#,
        "tpm: a TPM has one of the members directory and socket"
      ),
    ])
  func wrong(members: String, message: String) {
    let json = members.hasPrefix("\"") ? "{\(members)}" : members
    let error = #expect(throws: MachineSpecError.self) { try read(json) }
    #expect(error?.description.hasPrefix(message) == true, "\(error?.description ?? "read")")
  }

  @Test("USB devices: as a run has it, none, or a list")
  func usbDevices() throws {
    for (member, expected): (String, [USBDeviceSpec]?) in [
      ("", nil), (#", "usb": null"#, nil), (#", "usb": []"#, []),
      (#", "usb": ["keyboard", "tablet"]"#, [.keyboard, .tablet]),
    ] {
      let machine = try read(#"{"version": 1, "kernel": {"file": "k"}\#(member)}"#)
      guard case .computer(let computer) = machine.guest else { return }
      #expect(computer.usb == expected)
    }
  }

  @Test("a TPM: none, a directory, a socket")
  func tpm() throws {
    for (member, expected): (String, TPMSpec?) in [
      ("", nil), (#", "tpm": null"#, nil), (#", "tpm": {"directory": "d"}"#, .directory("d")),
      (#", "tpm": {"socket": "s"}"#, .socket("s")),
    ] {
      let machine = try read(#"{"version": 1, "kernel": {"file": "k"}\#(member)}"#)
      guard case .computer(let computer) = machine.guest else { return }
      #expect(computer.tpm == expected)
    }
  }

  @Test("nesting without end is no crash")
  func nesting() {
    let depth = 100_000
    let json =
      #"{"version": 1, "disks": "# + String(repeating: "[", count: depth)
      + String(repeating: "]", count: depth) + "}"
    #expect(throws: MachineSpecError.self) { try read(json) }
  }

  @Test(
    "every size that a display can have",
    arguments: [
      ("1024x768", DisplaySpec(width: 1024, height: 768)),
      ("1280x800", DisplaySpec(width: 1280, height: 800)),
      ("4095x4095", DisplaySpec(width: 4095, height: 4095)), ("1023x768", nil),
      ("1024x767", nil), ("4096x1000", nil), ("1280", nil), ("1280x", nil), ("x800", nil),
      ("1280x800x32", nil), ("+1280x800", nil), ("1280X800", nil), ("", nil),
      ("99999999999999999999x800", nil),
    ] as [(String, DisplaySpec?)])
  func displays(text: String, expected: DisplaySpec?) {
    #expect((try? DisplaySpec(parsing: text)) == expected)
  }

  @Test(arguments: [
    ("a", true), ("vm disk_0-1,=;", true), ("12345678901234567890", true), ("~!", true),
    ("", false), ("123456789012345678901", false), (" a", false), ("a ", false), ("ä", false),
    ("a\u{7F}", false), ("a\tb", false),
  ])
  func serials(text: String, isSerial: Bool) {
    #expect(DiskSpec.isSerial(text) == isSerial)
  }
}
