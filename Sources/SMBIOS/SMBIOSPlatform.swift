/// What differs from one machine to the next in its SMBIOS tables.
public struct SMBIOSPlatform: Hashable, Sendable {
  /// The machine's UUID; all zero for none.
  public let uuid: SystemUUID
  /// Cores of the one processor, at least 1.
  public let vcpuCount: Int
  /// What the processor calls itself, in printable ASCII; empty if it has no name.
  public let processorName: String
  /// 0 if it is not known.
  public let processorMegahertz: UInt16
  /// RAM from each start, in bytes, ascending.
  public let memory: [Range<UInt64>]
  /// Of the monitor, for the firmware's and the product's version.
  public let version: String
  public let texts: SMBIOSTexts

  /// Describes a machine.
  ///
  /// - Parameters:
  ///   - processorName: what is not printable ASCII is left out.
  ///   - memory: ranges of whole KiB that are not empty.
  public init(
    uuid: SystemUUID, vcpuCount: Int, processorName: String = "", processorMegahertz: UInt16 = 0,
    memory: [Range<UInt64>], version: String, texts: SMBIOSTexts = SMBIOSTexts()
  ) {
    precondition(vcpuCount > 0, "\(vcpuCount) vCPUs in SMBIOS")
    precondition(
      memory.allSatisfy { !$0.isEmpty && $0.lowerBound % 1024 == 0 && $0.upperBound % 1024 == 0 },
      "RAM \(memory) in SMBIOS")
    self.uuid = uuid
    self.vcpuCount = vcpuCount
    self.processorName = String(
      decoding: processorName.utf8.filter { (0x20...0x7E).contains($0) }, as: UTF8.self)
    self.processorMegahertz = processorMegahertz
    self.memory = memory
    self.version = version
    self.texts = texts
  }

  /// RAM in all, in bytes.
  var memoryByteCount: UInt64 {
    memory.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
  }
}
