internal import MachineSpecification

/// Machines as JSON: any bytes, and objects of members that mean something, with values that fit
/// and values that do not.
final class MachineSpecTarget: FuzzTarget {
  static let name = "machine-spec"
  static let maximumInputByteCount = 512

  private static let names = [
    "version", "program", "kernel", "firmware", "vcpus", "memory", "tracking", "hyperV", "disks",
    "serial", "display", "clock", "onCrash", "onReset", "file", "initrd", "commandLine", "image",
    "variables", "template", "keepsVariables", "uuid", "bootOrder", "attachments", "name", "size",
    "backing", "preallocated", "transparentHugePages", "source", "policy", "granularity", "refine",
    "verify", "transport", "nested", "features", "spinlocks", "vendorID", "readOnly", "raw",
    "blockSize", "append", "vpcus", "",
  ]
  private static let values = [
    "null", "true", "false", "0", "1", "2", "64", "-1", "4096", "1e3", "1.5", "1e999",
    "18446744073709551616", "\"\"", "\"a\"", "\"4K\"", "\"512M\"", "\"off\"", "\"auto\"",
    "\"dirty-log\"", "\"always\"", "\"until-answered=9\"", "\"memfd\"", "\"kernel\"",
    "\"default,-vapic\"", "\"none,time\"", "\"spinlocks=5\"", "\"10.0.1\"", "\"stdio\"",
    "\"1280x800\"", "\"local\"", "\"ignore\"", "\"exit\"", "\"disk0\"", "\"\\u0000\"",
    "\"\\ud800\"", "\"\u{10FFE9}\"", "\"00112233-4455-6677-8899-aabbccddeeff\"", "{}", "[]",
    "[\"disk0\"]",
  ]

  init() {}

  func run(_ input: FuzzInput) {
    let kind = input.byte
    if kind & 3 == 0 {
      check(input.rest)
    } else {
      var text = Self.object(input, depth: 0)
      // As most are: of this version, and with something to start.
      if kind & 3 > 1 { text = #"{"version": 1, "kernel": {"file": "k"}, "# + text.dropFirst() }
      check(Array(text.utf8))
    }
  }

  private static func object(_ input: FuzzInput, depth: Int) -> String {
    var members: [String] = []
    while !input.isEmpty, members.count < 12 {
      let name = input.pick(names)
      if name.isEmpty { break }
      members.append("\"\(name)\": \(value(input, depth: depth))")
    }
    return "{" + members.joined(separator: ", ") + "}"
  }

  private static func value(_ input: FuzzInput, depth: Int) -> String {
    switch input.byte & 7 {
    case 0 where depth < 3: object(input, depth: depth + 1)
    case 1 where depth < 3:
      "[" + object(input, depth: depth + 1) + ", " + object(input, depth: depth + 1) + "]"
    default: input.pick(values)
    }
  }

  private func check(_ json: [UInt8]) {
    do throws(MachineSpecError) {
      let machine = try MachineSpec(json: json)
      require(machine.guest.vcpuCounts.contains(machine.partition.vcpuCount), "vCPUs")
      let memory = machine.partition.memory.byteCount.bytes
      require(memory > 0 && memory % 4096 == 0, "\(memory) bytes")
      require((try? MachineSpec(json: Array(machine.json.utf8))) == machine, machine.json)
    } catch {
      let isOneLine = error.description.unicodeScalars.allSatisfy {
        $0.properties.generalCategory != .control
      }
      require(!error.description.isEmpty && isOneLine, error.description.debugDescription)
    }
  }
}
