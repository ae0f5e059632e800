import HostSystem
import MachineSpecification
internal import Sandbox
import VMM

@testable internal import VMMCommand

/// Command lines: sizes, each alone, and whole lines, of any words or of words that mean something.
final class CommandLineTarget: FuzzTarget {
  static let name = "command-line"
  static let maximumInputByteCount = 256
  static let role = ThreadRole.service

  /// Without commands and options, which come from their definitions.
  private static let values = [
    "1", "0", "64", "4K", "512M", "1GiB", "4097", "16777216T", "off", "auto", "always", "readonly",
    "until-answered=9", "none", "stdio", "file:x", "pty", "a,readonly", "a,,b", ",", "=", "-", "--",
    "vpindex,time", "default", "disk0", "disk1,disk0", "cdrom,disk0", "opt/a=b",
    "00112233-4455-6677-8899-aabbccddeeff", "-1", "+1", "1.5G", "1GB", "\u{661}", "é", "",
  ]
  private static let words =
    CommandName.allCases.map(\.rawValue)
    + CommandName.allCases.flatMap { $0.definition.options.map(\.name) } + values

  init() {}

  func run(_ input: FuzzInput) {
    let kind = input.byte
    switch kind & 3 {
    case 0: checkSize(String(decoding: input.rest, as: UTF8.self))
    case 1: checkSize(Self.size(kind, input))
    default: checkLine(Self.line(kind, input))
    }
  }

  // MARK: Sizes

  private static func size(_ kind: UInt8, _ input: FuzzInput) -> String {
    let units = ["", "k", "KiB", "M", "mib", "G", "T", "TiB"]
    return "\(input.anyMagnitude)" + units[Int(kind >> 2) % units.count]
  }

  private func checkSize(_ text: String) {
    do throws(ByteCountError) {
      let size = try ByteCount(parsing: text)
      require(size.bytes == Self.value(text), "\(text) is \(size.bytes) bytes")
      require(size.bytes > 0, "no memory from \(text)")
      require((try? ByteCount(parsing: size.optionText)) == size, "\(size.optionText) from \(text)")
      require(!size.description.isEmpty, "no words")
    } catch {
      Self.checkMessage(error.description)
      require(Self.value(text) == nil, "\(text) is refused: \(error)")
    }
  }

  /// The same by hand: digits, a unit, no more than 64 bits, and not 0.
  private static func value(_ text: String) -> UInt64? {
    let shifts: [String: UInt64] = [
      "": 0, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30, "t": 40, "tib": 40,
    ]
    let scalars = Array(text.unicodeScalars)
    let digitCount = scalars.prefix { ("0"..."9").contains($0) }.count
    var unit = ""
    for scalar in scalars[digitCount...] {
      // Letters by ASCII alone: other alphabets' capitals are not units.
      guard scalar.isASCII else { return nil }
      unit += Character(scalar).lowercased()
    }
    guard digitCount > 0, let shift = shifts[unit] else { return nil }
    var value: UInt64 = 0
    for scalar in scalars[..<digitCount] {
      let (product, isTooLong) = value.multipliedReportingOverflow(by: 10)
      let (sum, isTooLarge) = product.addingReportingOverflow(UInt64(scalar.value - 48))
      guard !isTooLong, !isTooLarge else { return nil }
      value = sum
    }
    let (bytes, overflow) = value.multipliedReportingOverflow(by: 1 << shift)
    return overflow || bytes == 0 ? nil : bytes
  }

  // MARK: Lines

  private static func line(_ kind: UInt8, _ input: FuzzInput) -> [String] {
    var words: [String] = kind & 12 == 0 ? [] : [input.pick(CommandName.allCases).rawValue]
    while !input.isEmpty, words.count < 40 {
      let choice = input.byte
      var word =
        Int(choice) < Self.words.count
        ? Self.words[Int(choice)]
        : String(decoding: input.bytes(input.index(below: 32)), as: UTF8.self)
      // Attached values, and words run together.
      if choice & 3 == 3 { word += "=" + input.pick(values) }
      words.append(word)
    }
    return words
  }

  private func checkLine(_ words: [String]) {
    do throws(UsageError) {
      switch try Invocation(
        words, on: HostSize(memory: .gibi(1), processorCount: 1), readConfiguration: Self.machine,
        readSnapshot: Self.snapshot)
      {
      // Help depends on nothing but the command, documents on nothing: their tests have seen them.
      case .help, .version, .check, .documentation: break
      case .demo(let options):
        check(options.partition, GuestSpec.programVCPUCounts)
      case .run(let options):
        check(options.machine)
      case .ctl(let options):
        require(!options.path.isEmpty, "a socket without a path")
      case .receive(let options):
        require(!options.address.description.isEmpty, "a place to listen that is none")
      case .evidence(let options):
        require(options.outputPath?.isEmpty != true, "a file without a name")
      }
    } catch {
      Self.checkMessage(error.description)
    }
  }

  /// The words are the machine that is in the directory.
  private static func snapshot(_ path: String) -> Snapshot {
    Snapshot(
      files: SnapshotFiles(directory: "saved"), machine: SavedMachine(),
      notes: SnapshotNotes(specification: Array(path.utf8), memoryName: "memory-a", media: []))
  }

  /// What a file of `--config` has: the path itself.
  private static func machine(_ path: String) throws(UsageError) -> MachineSpec {
    do throws(MachineSpecError) {
      return try MachineSpec(json: Array(path.utf8))
    } catch {
      throw .invalidConfiguration(file: path, error)
    }
  }

  private func check(_ machine: MachineSpec) {
    check(machine.partition, machine.guest.vcpuCounts)
    switch machine.guest {
    case .program(let file):
      require(!file.isEmpty, "a program without a name")
    case .computer(let computer):
      check(
        computer.boot, diskCount: computer.disks.count, cdromCount: computer.cdroms.count)
      require(computer.cdroms.allSatisfy { $0.file?.isEmpty != true }, "an image without a name")
      require(computer.disks.allSatisfy { !$0.file.isEmpty }, "a disk without a name")
    }
    // No argument has a NUL, and JSON may not have one either.
    guard !machine.json.contains("\\u0000") else { return }
    do throws(MachineSpecError) {
      require(try MachineSpec(json: Array(machine.json.utf8)) == machine, machine.json)
    } catch {
      require(false, "\(error) in \(machine.json)")
    }
  }

  private func check(_ boot: BootSpec, diskCount: Int, cdromCount: Int) {
    switch boot {
    case .kernel(let kernel):
      require(!kernel.file.isEmpty, "a kernel without a name")
    case .firmware(let firmware):
      require(firmware.image?.isEmpty != true, "firmware without a name")
      require(Set(firmware.bootOrder).count == firmware.bootOrder.count, "a device twice")
      require(
        firmware.bootOrder.allSatisfy { device in
          switch device {
          case .disk(let index): index < diskCount
          case .cdrom(let index): index < cdromCount
          }
        }, "a device that is not there")
      require(
        firmware.attachments.allSatisfy { !$0.name.isEmpty && !$0.file.isEmpty },
        "a file without a name")
    }
  }

  private func check(_ partition: PartitionSpec, _ counts: ClosedRange<Int>) {
    let memory = partition.memory.byteCount
    require(memory.bytes > 0 && memory.bytes % 4096 == 0, "\(memory)")
    require(counts.contains(partition.vcpuCount), "\(partition.vcpuCount) vCPUs")
    if case .untilAnswered(let seconds) = partition.tracking.policy {
      require((0...86_400).contains(seconds), "\(seconds) seconds")
    }
  }

  /// One line, whatever the words were, for people to read.
  private static func checkMessage(_ text: String) {
    require(!text.isEmpty, "no message")
    let isPlain = text.unicodeScalars.allSatisfy { scalar in
      switch scalar.properties.generalCategory {
      case .control, .lineSeparator, .paragraphSeparator: false
      default: true
      }
    }
    require(isPlain, "a message with control characters: \(text.debugDescription)")
  }
}
