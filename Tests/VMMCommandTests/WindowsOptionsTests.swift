import MachineSpecification
import Testing

@testable import VMMCommand

/// The command line of `windows`: the machine that it makes.
@Suite struct WindowsOptionsTests {
  private func machine(
    _ line: String, on host: HostSize = HostSize(memory: .gibi(15), processorCount: 3)
  ) throws(UsageError) -> MachineSpec? {
    let words = ["windows"] + line.split(separator: " ").map(String.init)
    let invocation = try Invocation(words, on: host) { (path) throws(UsageError) in
      throw .unreadableConfiguration(path)
    }
    guard case .run(let options) = invocation else { return nil }
    return options.machine
  }

  private func computer(_ line: String) throws -> ComputerSpec {
    guard case .computer(let computer) = try #require(try machine(line)).guest else {
      throw UsageError.noCommand
    }
    return computer
  }

  @Test("with a medium: the drive is tried first, then the disk, which is made")
  func installation() throws {
    var firmware = FirmwareSpec(image: nil)
    firmware.variables = "win.img.vars"
    firmware.bootOrder = [.cdrom(0), .disk(0)]
    var expected = ComputerSpec(.firmware(firmware))
    var disk = DiskSpec(file: "win.img")
    disk.newByteCount = .gibi(64)
    expected.disks = [disk]
    expected.cdroms = [CDROMSpec(file: "w.iso")]
    expected.clock = .local
    expected.display = DisplaySpec(width: 1280, height: 800)
    expected.usb = [.tablet]
    expected.networks = [NetworkSpec(.user([]))]
    expected.randomNumbers = .off
    let given = try computer("--iso w.iso --disk win.img:64G")
    #expect(given == expected)
  }

  @Test("without one: what is installed, with options that change it")
  func installed() throws {
    let computer = try computer(
      "--disk a --disk b,readonly --cdrom c --rtc utc --firmware f --vars v --display 1024x768")
    guard case .firmware(let firmware) = computer.boot else {
      Issue.record("no firmware")
      return
    }
    #expect(firmware.image == "f" && firmware.variables == "v" && firmware.bootOrder.isEmpty)
    #expect(computer.disks == [DiskSpec(file: "a"), DiskSpec(file: "b", isReadOnly: true)])
    #expect(computer.cdroms == [CDROMSpec(file: "c")])
    #expect(computer.clock == .utc)
    #expect(computer.display == DisplaySpec(width: 1024, height: 768))
    #expect(computer.usb == [.tablet])
    #expect(try self.computer("--disk a --vnc none").usb == [.tablet])
    #expect(try self.computer("--disk a --usb keyboard").usb == [.keyboard])
    #expect(try self.computer("--disk a --usb none").usb == [])
    #expect(try self.computer("--disk a --net none").networks == [])
    let passt = [NetworkSpec(.passt(path: "s"))]
    #expect(try self.computer("--disk a --net passt=s").networks == passt)
    #expect(!computer.hasRandomNumbers)
    #expect(try self.computer("--disk a --rng on").hasRandomNumbers)
  }

  @Test(
    "memory and vCPUs fit the host",
    arguments: [
      (HostSize(memory: .gibi(15), processorCount: 3), ByteCount.gibi(7), 3),
      (HostSize(memory: .mebi(500), processorCount: 1), .gibi(4), 2),
      (HostSize(memory: .gibi(1000), processorCount: 100), .gibi(8), 8),
    ])
  func fits(host: HostSize, memory: ByteCount, vcpuCount: Int) throws {
    let machine = try #require(try machine("--disk d", on: host))
    #expect(machine.partition.memory.byteCount == memory)
    #expect(machine.partition.vcpuCount == vcpuCount)
    let own = try #require(try self.machine("--disk d --memory 2G --cpus 1", on: host))
    #expect(own.partition.memory.byteCount == .gibi(2) && own.partition.vcpuCount == 1)
  }

  @Test("viewers connect to the first free display, unless told otherwise")
  func viewers() throws {
    for (line, vnc) in [
      ("--disk d", true), ("--disk d --vnc none", false), ("--disk d --vnc :3", true),
    ] {
      let words = ["windows"] + line.split(separator: " ").map(String.init)
      guard case .run(let options) = try Invocation(words) else { return }
      #expect((options.vnc != nil) == vnc)
    }
  }

  @Test("a TPM beside the variables, where swtpm is installed, unless the line has another")
  func tpm() throws {
    for (line, expected): (String, TPMSpec?) in [
      ("--disk w.img:64G", .directory("w.img.tpm")), ("--disk w.img --vars v", .directory("v.tpm")),
      ("--disk /dev/sdb --vars a/v.vars", .directory("a/v.tpm")), ("--disk d --tpm none", nil),
      ("--disk d --tpm t", .directory("t")), ("--disk d --tpm socket=s", .socket("s")),
    ] {
      for isInstalled in [false, true] {
        let words = ["windows"] + line.split(separator: " ").map(String.init)
        let host = HostSize(memory: .gibi(15), processorCount: 3, emulatesTPM: isInstalled)
        let invocation = try Invocation(words, on: host) { (path) throws(UsageError) in
          throw .unreadableConfiguration(path)
        }
        guard case .run(let options) = invocation,
          case .computer(let computer) = options.machine.guest
        else { return }
        let isAsked = line.contains("--tpm")
        #expect(computer.tpm == (isInstalled || isAsked ? expected : nil), "\(line)")
        #expect(options.lacksTPM == (!isInstalled && !isAsked), "\(line)")
      }
    }
  }

  @Test("this host has memory and processors")
  func ofHost() {
    #expect(HostSize.ofHost.memory > .mebi(64) && HostSize.ofHost.processorCount > 0)
  }

  @Test(
    "names with colons",
    arguments: [
      ("a:64G", "a", ByteCount.gibi(64)), ("a:b", "a:b", nil), ("a:", "a:", nil),
      (":64G", ":64G", nil), ("a:1M:2M", "a:1M", .mebi(2)), ("nbd0:x", "nbd0:x", nil),
      ("pci-0000:00:1f.2-scsi-0:0:0:1", "pci-0000:00:1f.2-scsi-0:0:0:1", nil),
    ] as [(String, String, ByteCount?)])
  func colons(text: String, file: String, size: ByteCount?) throws {
    let disk = try #require(try computer("--disk \(text)").disks.first)
    #expect(disk.file == file && disk.newByteCount == size)
  }

  @Test(arguments: [
    ("", "'windows' needs the option '--disk FILE[:SIZE]...'; see 'vmm-run windows --help'"),
    ("--iso w", "'windows' needs the option '--disk FILE[:SIZE]...'; see 'vmm-run windows --help'"),
    (
      "--disk a:5K",
      "option '--disk FILE:': 5K is no size of a disk: whole MiB, up to 1024T"
    ),
    (
      "--disk a,size=2000T",
      "option '--disk FILE,size=': 2000T is no size of a disk: whole MiB, up to 1024T"
    ),
    (
      "--disk /dev/sdb",
      "option '--disk /dev/...' works only together with '--vars FILE'"
    ),
    ("--disk a --kernel k", "'windows' has no option '--kernel'; it belongs to 'run'"),
  ])
  func message(line: String, message: String) {
    let error = #expect(throws: UsageError.self) { try machine(line) }
    #expect(error?.description == message)
  }
}
