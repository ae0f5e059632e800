import HyperVCore
import MachineSpecification
import SMBIOS
import Testing

@testable import VMMCommand

/// The command line of `run --kernel` and `run --firmware`: what it means, and every message it can
/// lead to.
@Suite struct SystemOptionsTests {
  private func parse(_ line: String) throws(UsageError) -> RunOptions? {
    let words = ["run"] + line.split(separator: " ").map(String.init)
    guard case .run(let options) = try Invocation(words) else { return nil }
    return options
  }

  private func system(_ line: String) throws -> ComputerSpec {
    guard case .computer(let options) = try parse(line)?.machine.guest else {
      throw UsageError.noCommand
    }
    return options
  }

  @Test func defaults() throws {
    let options = try #require(try parse("--kernel vmlinuz"))
    let linux = KernelSpec(file: "vmlinuz")
    let system = ComputerSpec(.kernel(linux))
    #expect(options == RunOptions(MachineSpec(.computer(system))))
    #expect(options.machine.partition.memory.byteCount == .gibi(1))
    #expect(linux.initrd == nil && linux.commandLine == nil && system.disks.isEmpty)
    #expect(
      system.serial == .stdio && system.clock == .utc
        && options.machine.partition.hyperV == HyperVSpec())
    #expect(system.onCrash == .report && system.onReset == .reset && !options.tracesIO)
    #expect(!options.machine.partition.hyperV.isNested)
  }

  @Test func everyOption() throws {
    var linux = KernelSpec(file: "vmlinuz")
    linux.initrd = "initrd"
    linux.commandLine = "console=ttyS0"
    var system = ComputerSpec(.kernel(linux))
    system.disks = [DiskSpec(file: "a.img"), DiskSpec(file: "b.img", isReadOnly: true)]
    system.serial = .file(LogFileSpec(file: "serial.log"))
    system.clock = .local
    system.onCrash = .ignore
    system.onReset = .exit
    var partition = PartitionSpec(memory: .mebi(512))
    partition.vcpuCount = 2
    partition.hyperV.isNested = true
    partition.hyperV.features = EnlightenmentChoice(
      selection: .exactly([.vpIndex, .time, .crash]))
    var expected = RunOptions(MachineSpec(.computer(system), partition))
    expected.tracesIO = true
    let line = """
      --disk a.img --kernel vmlinuz --append console=ttyS0 --initrd=initrd --cpus 2 \
      --serial file:serial.log --disk=b.img,readonly --rtc local --memory 512M --trace-io --nested \
      --hyperv-features time,vpindex,crash --on-crash ignore --on-reset exit
      """
    #expect(try parse(line) == expected)
  }

  @Test func appendIsOneArgument() throws {
    let arguments = ["run", "--kernel", "k", "--append", "console=ttyS0 root=/dev/nvme0n1 quiet"]
    guard case .run(let options) = try Invocation(arguments),
      case .computer(let system) = options.machine.guest, case .kernel(let linux) = system.boot
    else {
      Issue.record("not a kernel")
      return
    }
    #expect(linux.commandLine == "console=ttyS0 root=/dev/nvme0n1 quiet")
    guard case .kernel(let dashed) = try self.system("--kernel k --append=--x").boot else { return }
    #expect(dashed.commandLine == "--x")
  }

  @Test(arguments: [
    ("a", DiskSpec(file: "a")), ("a,readonly", DiskSpec(file: "a", isReadOnly: true)),
    ("a,,b", DiskSpec(file: "a,b")), ("a,,,,b", DiskSpec(file: "a,,b")),
    ("a,,,readonly", DiskSpec(file: "a,", isReadOnly: true)),
    ("a,readonly,readonly", DiskSpec(file: "a", isReadOnly: true)),
    ("/dev/x:y=z", DiskSpec(file: "/dev/x:y=z")), (",,", DiskSpec(file: ",")),
    ("format=raw", DiskSpec(file: "format=raw")),
    ("a,format=raw", DiskSpec(file: "a", isKnownRaw: true)),
    ("a,format=raw,readonly", DiskSpec(file: "a", isReadOnly: true, isKnownRaw: true)),
    ("a,readonly,format=raw", DiskSpec(file: "a", isReadOnly: true, isKnownRaw: true)),
    ("a,serial=x", DiskSpec(file: "a", serial: "x")),
    ("a,serial=x=y", DiskSpec(file: "a", serial: "x=y")),
    ("a,serial=x,,y", DiskSpec(file: "a", serial: "x,y")),
    ("a,bus=nvme", DiskSpec(file: "a")),
    (
      "a,bus=ahci,readonly",
      {
        var disk = DiskSpec(file: "a", isReadOnly: true)
        disk.bus = .ahci
        return disk
      }()
    ),
    ("a,block-size=4096", DiskSpec(file: "a", sectorByteCount: 4096)),
    ("a,block-size=512,readonly", DiskSpec(file: "a", isReadOnly: true)),
    (
      "a,block-size=4096,serial=12345678901234567890,format=raw,readonly",
      DiskSpec(
        file: "a", isReadOnly: true, isKnownRaw: true, serial: "12345678901234567890",
        sectorByteCount: 4096)
    ),
  ])
  func disks(text: String, disk: DiskSpec) throws {
    #expect(try DiskSpec(option: text) == disk)
    #expect(
      try system("--kernel k --disk 0 --disk \(text)").disks == [DiskSpec(file: "0"), disk])
  }

  @Test(arguments: [
    ("stdio", SerialSpec.stdio), ("pty", .pty), ("none", SerialSpec.none),
    ("file:x", .file(LogFileSpec(file: "x"))),
    ("file:file:", .file(LogFileSpec(file: "file:"))),
    ("file:/a b", .file(LogFileSpec(file: "/a b"))),
    ("file:x,append", .file(LogFileSpec(file: "x", appends: true))),
    ("file:a,,b,append", .file(LogFileSpec(file: "a,b", appends: true))),
    ("file:append", .file(LogFileSpec(file: "append"))),
    // A mark that is no letter of its own does not hide the colon or the comma before it.
    ("file:\u{301}x,append", .file(LogFileSpec(file: "\u{301}x", appends: true))),
    ("file:x,,\u{301}", .file(LogFileSpec(file: "x,\u{301}"))),
  ])
  func serials(text: String, choice: SerialSpec) throws {
    #expect(try SerialSpec(option: text) == choice)
  }

  /// What may follow a disk's file.
  private static let words =
    "readonly, bus=nvme|ahci, serial=TEXT, block-size=512|4096, format=raw, size=SIZE"

  @Test(arguments: [
    (
      "--program p --kernel k",
      "options '--program' and '--kernel' cannot be combined; a machine starts with one of them"
    ),
    (
      "--kernel k --program p --disk d",
      "options '--program' and '--kernel' cannot be combined; a machine starts with one of them"
    ),
    ("--kernel", "option '--kernel' needs a value: '--kernel FILE'"),
    ("--kernel k --kernel l", "option '--kernel' was given more than once"),
    ("--kernel k --initrd a --initrd b", "option '--initrd' was given more than once"),
    ("--kernel k --append= ", "option '--append' needs a value: '--append STRING'"),
    ("--kernel k --append a b", "unexpected argument 'b'; see 'vmm-run run --help'"),
    ("--kernle k", "unknown option '--kernle'; did you mean '--kernel'?"),
    ("--kernel k --disks d", "unknown option '--disks'; did you mean '--disk'?"),
    ("--kernel k --disk", "option '--disk' needs a value: '--disk FILE[,OPTIONS]'"),
    ("--kernel k --disk ,readonly", "option '--disk' needs a value: '--disk FILE[,OPTIONS]'"),
    (
      "--kernel k --disk d,readonyl",
      "option '--disk FILE,': 'readonyl' is not one of \(words); "
        + "did you mean 'readonly'?"
    ),
    ("--kernel k --disk d,", "option '--disk FILE,': '' is not one of \(words)"),
    (
      "--kernel k --disk d,readonly,x",
      "option '--disk FILE,': 'x' is not one of \(words)"
    ),
    (
      "--kernel k --disk d,format",
      "option '--disk FILE,': 'format' is not one of \(words); "
        + "did you mean 'format=raw'?"
    ),
    (
      "--kernel k --disk d,format=qcow2",
      "option '--disk': 'qcow2' is no format of disk images here; there is only raw: convert the "
        + "image (qemu-img convert -O raw OLD NEW)"
    ),
    (
      "--kernel k --disk d,serial=",
      "option '--disk FILE,serial=': '' is no serial number, which has 1 to 20 characters of "
        + "ASCII, none a control character, the first and last no space"
    ),
    (
      "--kernel k --disk d,serial=123456789012345678901",
      "option '--disk FILE,serial=': '123456789012345678901' is no serial number, which has 1 to "
        + "20 characters of ASCII, none a control character, the first and last no space"
    ),
    (
      "--kernel k --disk d,serial=a --disk e,serial=a",
      "option '--disk': two disks have the serial number 'a', by which guests tell them apart"
    ),
    (
      "--kernel k --disk d,serial=a,serial=b", "option '--disk FILE,': 'serial=' is there twice"
    ),
    (
      "--kernel k --disk d,block-size=1024",
      "option '--disk FILE,block-size=': '1024' is not one of 512, 4096"
    ),
    (
      "--kernel k --disk d,blocksize=512",
      "option '--disk FILE,': 'blocksize=512' is not one of \(words); did you mean "
        + "'block-size=512|4096'?"
    ),
    (
      "--kernel k --disk d,format=raw,format=raw",
      "option '--disk FILE,': 'format=' is there twice"
    ),
    (
      "--kernel k --serial stido",
      "option '--serial': 'stido' is not one of stdio, pty, file:FILE, none; did you mean 'stdio'?"
    ),
    (
      "--kernel k --serial flie:log",
      "option '--serial': 'flie:log' is not one of stdio, pty, file:FILE, none; "
        + "did you mean 'file:FILE'?"
    ),
    (
      "--kernel k --serial /dev/ttyS0",
      "option '--serial': '/dev/ttyS0' is not one of stdio, pty, file:FILE, none"
    ),
    (
      "--kernel k --serial file:x,apend",
      "option '--serial file:FILE,': 'apend' is not one of append; did you mean 'append'?"
    ),
    (
      "--kernel k --trace-hypercalls t,readonly",
      "option '--trace-hypercalls FILE,': 'readonly' is not one of append"
    ),
    (
      "--kernel k --trace-hypercalls ,append",
      "option '--trace-hypercalls' needs a value: '--trace-hypercalls FILE'"
    ),
    ("--kernel k --serial file:", "option '--serial' needs a value: '--serial file:FILE'"),
    ("--kernel k --serial file", "option '--serial' needs a value: '--serial file:FILE'"),
    ("--kernel k --rtc utv", "option '--rtc': 'utv' is not one of utc, local; did you mean 'utc'?"),
    (
      "--kernel k --on-crash die", "option '--on-crash': 'die' is not one of report, ignore"
    ),
    (
      "--kernel k --on-reset exti",
      "option '--on-reset': 'exti' is not one of reset, exit; did you mean 'exit'?"
    ),
    ("--kernel k --trace-io=x", "option '--trace-io' takes no value, but was given 'x'"),
  ])
  func message(line: String, message: String) {
    let error = #expect(throws: UsageError.self) { try parse(line) }
    #expect(error?.description == message)
  }

  @Test func firmwareDefaults() throws {
    let options = try #require(try parse("--firmware f"))
    let firmware = FirmwareSpec(image: "f")
    #expect(options == RunOptions(MachineSpec(.computer(ComputerSpec(.firmware(firmware))))))
    #expect(firmware.keepsVariables && firmware.bootOrder.isEmpty && firmware.uuid == nil)
    #expect(options.machine.partition.memory.byteCount == .gibi(1))
  }

  @Test("firmware that descriptors name", arguments: ["--firmware", "--firmware auto"])
  func automaticFirmware(line: String) throws {
    var firmware = FirmwareSpec(image: nil)
    #expect(try system(line) == ComputerSpec(.firmware(firmware)))
    firmware.variables = "v"
    #expect(try system("\(line) --vars v") == ComputerSpec(.firmware(firmware)))
    #expect(try system("--vars v \(line)") == ComputerSpec(.firmware(firmware)))
    guard case .firmware(let named) = try system("--firmware ./auto").boot else { return }
    #expect(named.image == "./auto")
  }

  @Test func everyFirmwareOption() throws {
    var firmware = FirmwareSpec(image: "f")
    firmware.variables = "v"
    firmware.template = "t"
    firmware.keepsVariables = false
    firmware.uuid = SystemUUID("00112233-4455-6677-8899-aabbccddeeff")
    firmware.bootOrder = [.disk(1), .disk(0)]
    firmware.attachments = [.init(name: "opt/a", file: "x=y"), .init(name: "opt/b", file: "z")]
    var expected = ComputerSpec(.firmware(firmware))
    expected.disks = [DiskSpec(file: "a"), DiskSpec(file: "b")]
    let line = """
      --fw-cfg opt/a=x=y --boot-order disk1,disk0 --firmware f --vars v --vars-template t \
      --no-persist --uuid 00112233-4455-6677-8899-AABBCCDDEEFF --disk a --disk b --fw-cfg=opt/b=z
      """
    #expect(try system(line) == expected)
  }

  @Test func drivesAndTheirPlaceInTheBootOrder() throws {
    var firmware = FirmwareSpec(image: "f")
    firmware.bootOrder = [.cdrom(0), .disk(0), .cdrom(1)]
    var expected = ComputerSpec(.firmware(firmware))
    expected.disks = [DiskSpec(file: "a")]
    expected.cdroms = [CDROMSpec(file: "x.iso"), CDROMSpec()]
    for first in ["cdrom", "cdrom0"] {
      let line =
        "--firmware f --disk a --cdrom x.iso --cdrom none --boot-order \(first),disk0,cdrom1"
      #expect(try system(line) == expected)
    }
    #expect(try system("--kernel k --cdrom ./none").cdroms == [CDROMSpec(file: "./none")])
    #expect(
      try system("--kernel k --cdrom a,,b,next=c,next=none=,,d --cdrom none,next=e").cdroms
        == [
          CDROMSpec(file: "a,b", nextFiles: ["c", "none=,d"]),
          CDROMSpec(nextFiles: ["e"]),
        ])
  }

  @Test("network cards")
  func networks() throws {
    for (line, expected): (String, [NetworkSpec.FarEnd]) in [
      ("--kernel k", []), ("--kernel k --net none", []), ("--kernel k --net user", [.user([])]),
      ("--kernel k --net passt=a,,b --nic e1000e", [.passt(path: "a,b")]),
      ("--kernel k --net tap=tap0", [.tap(try InterfaceName("tap0"))]),
      ("--kernel k --net socket=5 --net user", [.socket(descriptor: 5), .user([])]),
      (
        "--kernel k --net user,hostfwd=tcp:127.0.0.1:3389-:3390,mac=02:00:00:00:00:01,hostfwd=udp::1-:2",
        [
          .user([
            try PortForward(parsing: "tcp:127.0.0.1:3389-:3390"),
            try PortForward(parsing: "udp::1-:2"),
          ])
        ]
      ),
    ] { #expect(try system(line).networks.map(\.farEnd) == expected, "\(line)") }
  }

  @Test("--rng: with firmware, unless it is said")
  func randomNumbers() throws {
    for (line, expected) in [
      ("--kernel k", false), ("--firmware f", true), ("--kernel k --rng on", true),
      ("--kernel k --rng off", false), ("--firmware f --rng off", false),
    ] { #expect(try system(line).hasRandomNumbers == expected, "\(line)") }
  }

  @Test("--vmbus: not there, unless it is said")
  func vmbus() throws {
    for (line, expected) in [
      ("--kernel k", false), ("--firmware f", false), ("--kernel k --vmbus", true),
      ("--firmware f --vmbus --balloon 1M", true),
      ("--kernel k --vmbus --control unix:s --snapshots d", true),
    ] { #expect(try system(line).hasVMBus == expected, "\(line)") }
  }

  @Test("--balloon: none, unless it is said; of any size")
  func balloon() throws {
    for (line, expected) in [
      ("--kernel k", nil), ("--firmware f --balloon none", nil), ("--kernel k --balloon", 0),
      ("--kernel k --balloon 0", 0), ("--balloon --kernel k", 0),
      ("--firmware f --balloon 128M", 32768), ("--kernel k --balloon=4K", 1),
    ] as [(String, UInt32?)] {
      #expect(try system(line).balloon?.targetPageCount == expected, "\(line)")
    }
  }

  @Test("--memory: what it starts with, can grow to, and is to have")
  func memorySizes() throws {
    for (line, start, maximum, target) in [
      ("--kernel k", 1024, nil, nil), ("--kernel k --memory 2G", 2048, nil, nil),
      ("--kernel k --vmbus --memory 2G,max=16G,target=4G", 2048, 16384, 4096),
      ("--kernel k --vmbus --memory 2G,target=1G", 2048, nil, 1024),
      ("--kernel k --balloon --memory 2G,target=1G", 2048, nil, 1024),
      ("--firmware f --vmbus --balloon 0 --memory 512M,target=512M,max=512M", 512, 512, 512),
      ("--firmware f --vmbus --balloon 1G --memory 2G,max=2176M", 2048, 2176, nil),
    ] as [(String, UInt64, UInt64?, UInt64?)] {
      let machine = try #require(try parse(line)).machine
      let memory = machine.partition.memory
      #expect(memory.byteCount == .mebi(start), "\(line)")
      #expect(memory.maximum == maximum.map { .mebi($0) }, "\(line)")
      #expect(memory.target == target.map { .mebi($0) }, "\(line)")
      #expect(memory.growthByteCount == ((maximum ?? start) - start) << 20, "\(line)")
      let again = try MachineSpec(json: Array(machine.json.utf8))
      #expect(again.partition.memory == memory, "\(line)")
    }
  }

  static let memoryMistakes: [(String, String)] = [
    (
      "--kernel k --memory 2G,max=4G",
      "option '--memory max=': memory is added by VMBus; add --vmbus"
    ),
    (
      "--program p --memory 64M,max=192M",
      "option '--memory max=': memory is added by VMBus; add --vmbus"
    ),
    (
      "--kernel k --vmbus --memory 2G,max=1G",
      "option '--memory max=': 1G is less than the 2G that the guest starts with"
    ),
    (
      "--kernel k --vmbus --memory 2G,max=2049M",
      "option '--memory max=': 2049M is not 2G and a multiple of 128M"
    ),
    (
      "--kernel k --vmbus --memory 2G,max=8T",
      "option '--memory max=': 8T is more than a machine can have, 4T"
    ),
    (
      "--kernel k --vmbus --prealloc --memory 2G,max=4G",
      """
      option '--memory max=': memory that is added is allocated when it is used; leave out \
      --prealloc
      """
    ),
    (
      "--kernel k --vmbus --backing hugetlb --memory 2G,max=4G",
      """
      option '--memory max=': memory that is added is allocated when it is used; leave out \
      --backing hugetlb
      """
    ),
    (
      "--kernel k --memory 2G,target=1G",
      """
      option '--memory target=': nothing tells the guest; add --vmbus, or --balloon for \
      less than it starts with
      """
    ),
    (
      "--kernel k --balloon 1G --memory 2G,target=1G",
      "option '--memory target=': the size of --balloon says that already; leave one out"
    ),
    (
      "--kernel k --vmbus --memory 2G,max=4G,target=5G",
      "option '--memory target=': 5G is more than the 4G that the guest can have"
    ),
    (
      "--kernel k --vmbus --memory 2G,max=4G,max=4G",
      "option '--memory max=': is there twice; leave one out"
    ),
    (
      "--kernel k --vmbus --memory 2G,maximum=4G",
      "option '--memory': 'maximum=4G' is not one of max=SIZE, target=SIZE"
    ),
    (
      "--kernel k --vmbus --memory 2G,max",
      "option '--memory max=': a size is missing; write for example 512M or 4G"
    ),
    (
      "--kernel k --memory-policy auto",
      "option '--memory-policy auto' works only together with '--vmbus' or '--balloon'"
    ),
    (
      "--kernel k --vmbus --memory-policy much",
      "option '--memory-policy': 'much' is not one of fixed, auto"
    ),
  ]

  @Test(arguments: memoryMistakes)
  func memoryMistake(line: String, message: String) {
    let error = #expect(throws: UsageError.self) { try parse(line) }
    #expect(error?.description == message)
  }

  @Test("what is plugged in: a tablet if there are viewers, unless the line says what")
  func usbDevices() throws {
    for (line, expected): (String, [USBDeviceSpec]?) in [
      ("--kernel k", nil), ("--kernel k --usb none", []), ("--kernel k --usb tablet", [.tablet]),
      ("--kernel k --usb keyboard,tablet", [.keyboard, .tablet]),
      ("--kernel k --display 1280x800 --vnc :0", [.tablet]),
      ("--kernel k --display 1280x800 --vnc none", nil),
      ("--kernel k --display 1280x800 --vnc :0 --usb none", []),
      ("--kernel k --display 1280x800 --vnc :0 --usb keyboard", [.keyboard]),
    ] { #expect(try system(line).usb == expected, "\(line)") }
  }

  @Test("what a machine calls itself")
  func smbios() throws {
    guard
      case .firmware(let firmware) = try system(
        "--firmware f --smbios manufacturer=A,,B,asset==1,oem=x=y,oem=z"
      ).boot
    else { return }
    var expected = SMBIOSTexts()
    expected[.manufacturer] = "A,B"
    expected[.asset] = "=1"
    expected.addOEMString("x=y")
    expected.addOEMString("z")
    #expect(firmware.smbiosTexts == expected)
  }

  @Test("a TPM: its directory, its socket, or none")
  func tpm() throws {
    for (line, expected): (String, TPMSpec?) in [
      ("--kernel k", nil), ("--kernel k --tpm none", nil), ("--kernel k --tpm d", .directory("d")),
      ("--firmware f --tpm ./none", .directory("./none")),
      ("--firmware f --tpm socket=/run/a=b", .socket("/run/a=b")),
      ("--firmware f --tpm ./socket=a", .directory("./socket=a")),
    ] { #expect(try system(line).tpm == expected, "\(line)") }
  }

  @Test(
    "the template that goes with an image",
    arguments: [
      ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
      ("code.fd", "vars.fd"), ("/CODE/ovmf.fd", nil), ("OVMF.fd", nil),
    ])
  func usualTemplate(image: String, template: String?) {
    #expect(FirmwareSpec.usualTemplate(of: image) == template)
  }

  @Test(arguments: [
    ("--firmware=", "option '--firmware' needs a value: '--firmware FILE'"),
    ("--firmware --firmware f", "option '--firmware' was given more than once"),
    (
      "--firmware f --kernel k",
      "options '--kernel' and '--firmware' cannot be combined; a machine starts with one of them"
    ),
    (
      "--firmware f --program p",
      "options '--program' and '--firmware' cannot be combined; a machine starts with one of them"
    ),
    (
      "--firmware f --append a", "option '--append' works only together with '--kernel FILE'"
    ),
    (
      "--firmware f --no-persist", "option '--no-persist' works only together with '--vars FILE'"
    ),
    (
      "--firmware f --uuid 12",
      "option '--uuid': '12' is not a UUID such as 12345678-9abc-def0-1234-56789abcdef0"
    ),
    (
      "--firmware f --boot-order disk0",
      "option '--boot-order' works only together with '--disk FILE[,OPTIONS]...'"
    ),
    (
      "--firmware f --disk a --disk b --boot-order disk2",
      "option '--boot-order': 'disk2' is not one of disk0, disk1; did you mean 'disk0'?"
    ),
    (
      "--firmware f --disk a --boot-order disk0,disk0",
      "option '--boot-order': 'disk0' is there twice"
    ),
    (
      "--firmware f --cdrom a --boot-order cdrom1",
      "option '--boot-order': 'cdrom1' is not one of cdrom; did you mean 'cdrom'?"
    ),
    (
      "--kernel k" + String(repeating: " --cdrom a", count: 7),
      "option '--cdrom': 7 drives and disks on the SATA adapter are too many; at most 6 fit"
    ),
    (
      "--kernel k --usb mouse", "option '--usb': 'mouse' is not one of tablet, keyboard"
    ),
    (
      "--kernel k --net users",
      "option '--net': 'users' is not one of user, passt=PATH, tap=NAME, socket=FD, none"
    ),
    (
      "--kernel k --net passt=s,hostfwd=tcp::1-:2",
      "option '--net': 'hostfwd=tcp::1-:2' is not one of mac=ADDRESS"
    ),
    (
      "--kernel k --net tap=a/b",
      """
      option '--net tap=': 'a/b' is no name of a network interface: 1 to 15 bytes without space, \
      '/' and ':'
      """
    ),
    (
      "--kernel k --net tap=sixteen-bytes-xx",
      """
      option '--net tap=': 'sixteen-bytes-xx' is no name of a network interface: 1 to 15 bytes \
      without space, '/' and ':'
      """
    ),
    (
      "--kernel k --net socket=2",
      "option '--net socket=': '2' is no number of an open descriptor behind standard error"
    ),
    (
      "--kernel k --net user,mac=53:54:00:12:34:56",
      "option '--net mac=': '53:54:00:12:34:56' is no address of a network card, such as"
        + " 52:54:00:12:34:56, with an even first byte"
    ),
    (
      "--kernel k --net user,mac=52:54:00:12:34:56 --net passt=s,mac=52:54:00:12:34:56",
      "option '--net': two network cards have the address 52:54:00:12:34:56"
    ),
    ("--kernel k --nic e1000e", "option '--nic' works only together with '--net WHERE...'"),
    ("--kernel k --net user --nic ne2000", "option '--nic': 'ne2000' is not one of e1000e, virtio"),
    ("--kernel k --usb tablet,none", "option '--usb': 'none' is not one of tablet, keyboard"),
    ("--kernel k --usb keyboard,keyboard", "option '--usb': 'keyboard' is there twice"),
    ("--kernel k --rng auto", "option '--rng': 'auto' is not one of on, off"),
    (
      "--kernel k --balloon 5000",
      "option '--balloon': 5000 is not a whole number of 4 KiB pages"
    ),
    ("--kernel k --balloon 16T", "option '--balloon': 16T is more than a balloon can be, 16T - 4K"),
    (
      "--program p --balloon",
      "option '--balloon' works only together with '--kernel FILE' or '--firmware FILE'"
    ),
    ("--kernel k --usb=", "option '--usb' needs a value: '--usb LIST'"),
    (
      "--program p --usb tablet",
      "option '--usb' works only together with '--kernel FILE' or '--firmware FILE'"
    ),
    (
      "--firmware f --smbios maker=a",
      "option '--smbios': 'maker=a' is not one of manufacturer=TEXT, product=TEXT, version=TEXT, "
        + "serial=TEXT, sku=TEXT, family=TEXT, asset=TEXT, oem=TEXT"
    ),
    ("--firmware f --smbios serial=a,serial=b", "option '--smbios': 'serial=' is there twice"),
    (
      "--firmware f --smbios serial=",
      "option '--smbios serial=': '' is no text of 1 to 64 characters of ASCII, none a control "
        + "character, the first and last no space"
    ),
    (
      "--firmware f --smbios \([String](repeating: "oem=x", count: 33).joined(separator: ","))",
      "option '--smbios oem=': more than 32 texts are too many"
    ),
    (
      "--kernel k --smbios serial=a",
      "option '--smbios' works only together with '--firmware FILE'"
    ),
    ("--kernel k --tpm socket=", "option '--tpm': needs a path behind socket="),
    ("--kernel k --tpm=", "option '--tpm' needs a value: '--tpm WHERE'"),
    (
      "--program p --tpm d",
      "option '--tpm' works only together with '--kernel FILE' or '--firmware FILE'"
    ),
    ("--firmware f --disk a --boot-order disk0,", "option '--boot-order': '' is not one of disk0"),
    ("--firmware f --fw-cfg opt/a", "option '--fw-cfg' needs a value: '--fw-cfg NAME=FILE'"),
    ("--firmware f --fw-cfg =x", "option '--fw-cfg' needs a value: '--fw-cfg NAME=FILE'"),
    ("--firmware f --fw-cfg opt/a=", "option '--fw-cfg' needs a value: '--fw-cfg NAME=FILE'"),
  ])
  func firmwareMessage(line: String, message: String) {
    let error = #expect(throws: UsageError.self) { try parse(line) }
    #expect(error?.description == message)
  }

  @Test(arguments: [
    "--vars v", "--vars-template t", "--uuid u", "--boot-order disk0", "--fw-cfg a=b",
  ])
  func needsFirmware(option: String) {
    let name = option.split(separator: " ")[0]
    for line in [option, "--kernel k \(option)", "\(option) --program p"] {
      let error = #expect(throws: UsageError.self) { try parse(line) }
      #expect(error?.description == "option '\(name)' works only together with '--firmware FILE'")
    }
  }

  @Test(arguments: ["--initrd i", "--append a"])
  func needsAKernel(option: String) {
    let name = option.split(separator: " ")[0]
    for line in [option, "--program p \(option)", "\(option) --firmware f"] {
      let error = #expect(throws: UsageError.self) { try parse(line) }
      #expect(error?.description == "option '\(name)' works only together with '--kernel FILE'")
    }
  }

  @Test(arguments: [
    "--disk d", "--serial none", "--rtc utc",
    "--hyperv-features none", "--on-crash report", "--on-reset exit", "--trace-io",
  ])
  func needsAPC(option: String) {
    let name = option.split(separator: " ")[0]
    for line in [option, "--program p \(option)", "\(option) --program p"] {
      let error = #expect(throws: UsageError.self) { try parse(line) }
      #expect(
        error?.description
          == "option '\(name)' works only together with '--kernel FILE' or '--firmware FILE'")
    }
  }

  @Test("a wrong list names its option, and the part that is wrong")
  func featureMessages() {
    let line = "--kernel k --hyperv-features"
    let error = #expect(throws: UsageError.self) { try parse("\(line) default,spinlocks=0") }
    #expect(
      error?.description
        == "option '--hyperv-features spinlocks=': '0' is not a number of tries from 1 to "
        + "4294967294, such as 4095")
    let other = #expect(throws: UsageError.self) { try parse("\(line) relaxed,none") }
    #expect(
      other?.description == "option '--hyperv-features': 'none' can only be the first word")
  }

  @Test(arguments: [
    "default,+evmcs", "vapic,evmcs", "all,emsr-bitmap", "none,+tlbflush-direct,vapic",
  ])
  func whatNestedGuestsUseNeedsNesting(list: String) throws {
    let line = ["run", "--kernel", "k", "--hyperv-features", list]
    let error = #expect(throws: UsageError.self) { try Invocation(line) }
    #expect(error?.description.hasSuffix("works only together with '--nested'") == true)
    #expect(throws: Never.self) { try Invocation(line + ["--nested"]) }
  }
}
