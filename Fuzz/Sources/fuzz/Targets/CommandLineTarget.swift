import HostSystem
internal import Sandbox

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
    "vpindex,time", "default", "disk0", "disk1,disk0", "opt/a=b",
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
      switch try Invocation(words) {
      // Help depends on nothing but the command: its tests have seen it.
      case .help, .version, .check: break
      case .demo(let options):
        check(options.machine, MachineOptions.cpuCounts)
      case .run(let options):
        switch options.guest {
        case .program(let path):
          require(!path.isEmpty, "a program without a name")
          check(options.machine, MachineOptions.cpuCounts)
        case .system(let system):
          check(system.boot, diskCount: system.disks.count)
          require(system.disks.allSatisfy { !$0.path.isEmpty }, "a disk without a name")
          check(options.machine, MachineOptions.systemCPUCounts)
        }
      }
    } catch {
      Self.checkMessage(error.description)
    }
  }

  private func check(_ boot: SystemOptions.Boot, diskCount: Int) {
    switch boot {
    case .linux(let linux):
      require(!linux.kernelPath.isEmpty, "a kernel without a name")
    case .firmware(let firmware):
      require(firmware.imagePath?.isEmpty != true, "firmware without a name")
      require(Set(firmware.bootOrder).count == firmware.bootOrder.count, "a disk twice")
      require(firmware.bootOrder.allSatisfy { $0 < diskCount }, "a disk that is not there")
      require(
        firmware.files.allSatisfy { !$0.name.isEmpty && !$0.path.isEmpty }, "a file without a name")
    }
  }

  private func check(_ machine: MachineOptions, _ counts: ClosedRange<Int>) {
    require(machine.memory.bytes > 0 && machine.memory.bytes % 4096 == 0, "\(machine.memory)")
    require(counts.contains(machine.cpuCount), "\(machine.cpuCount) vCPUs")
    if let granularity = machine.granularity?.bytes {
      require(
        granularity.nonzeroBitCount == 1 && (4096...(32 << 20)).contains(granularity),
        "granularity \(granularity)")
    }
    if case .untilAnswered(let seconds?) = machine.tracking.policy {
      require(TrackingPolicyChoice.seconds.contains(seconds), "\(seconds) seconds")
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
