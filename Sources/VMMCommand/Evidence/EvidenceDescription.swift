internal import ControlAPI
internal import FoundationEssentials
internal import Glibc
internal import MachineSpecification

/// `about.json`: the host and the machine as far as they matter for what the guest does. Chosen one
/// by one: what is not here is not told, such as names of files, addresses, serial numbers.
struct EvidenceDescription {
  private let machine: MachineSpec

  init(_ machine: MachineSpec) {
    self.machine = machine
  }

  var value: JSONValue {
    .members([("vmm_run", .text(Version.number)), ("host", host), ("machine", guest)])
  }

  private var host: JSONValue {
    let size = HostSize.ofHost
    return .members([
      ("kernel", .text(Self.kernelRelease)), ("processor", .text(Self.processorModel)),
      ("processors", .integer(Int64(size.processorCount))),
      ("memory_bytes", .count(size.memory.bytes)),
    ])
  }

  private var guest: JSONValue {
    let partition = machine.partition
    var members: [(String, JSONValue)] = [
      ("cpus", .integer(Int64(partition.vcpuCount))),
      ("memory_bytes", .count(partition.memory.byteCount.bytes)),
      ("backing", .text(partition.memory.backing.rawValue)),
      ("prealloc", .flag(partition.memory.isPreallocated)),
      ("thp", .flag(partition.memory.usesTransparentHugePages)),
      ("tracking", .text(partition.tracking.source?.rawValue ?? "auto")),
      ("verify", .flag(partition.tracking.verifiesZeroedMemory)),
      ("hyperv", .text(partition.hyperV.transport.rawValue)),
      ("hyperv_features", .text(partition.hyperV.features.names)),
      ("nested", .flag(partition.hyperV.isNested)),
    ]
    if case .computer(let computer) = machine.guest {
      members += [
        ("boot", .text(Self.boot(computer.boot))),
        (
          "disks",
          .array(computer.disks.map { .text("\($0.bus.rawValue), \($0.sectorByteCount) bytes") })
        ),
        ("cd_drives", .integer(Int64(computer.cdroms.count))),
        ("networks", .array(computer.networks.map { .text($0.card.rawValue) })),
        ("tpm", .flag(computer.tpm != nil)),
        ("balloon", .flag(computer.balloon != nil)), ("clock", .text(computer.clock.rawValue)),
      ]
    }
    return .members(members)
  }

  private static func boot(_ boot: BootSpec) -> String {
    switch boot {
    case .kernel: "kernel"
    case .firmware(let firmware): firmware.hasSecureBoot ? "firmware, secure boot" : "firmware"
    }
  }

  private static var kernelRelease: String {
    var name = utsname()
    // SAFETY: the structure lives for the calls, and its texts are terminated.
    guard unsafe uname(&name) == 0 else { return "" }
    return unsafe withUnsafeBytes(of: &name.release) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  private static var processorModel: String {
    guard let data = try? Data(contentsOf: URL(filePath: "/proc/cpuinfo")) else { return "" }
    let line = String(decoding: data, as: UTF8.self).split(separator: "\n")
      .first { $0.hasPrefix("model name") }
    return line?.split(separator: ":").last.map { $0.drop { $0 == " " } }.map(String.init) ?? ""
  }
}
