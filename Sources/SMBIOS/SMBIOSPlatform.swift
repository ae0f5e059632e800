/// What differs from one machine to the next in its SMBIOS tables.
public struct SMBIOSPlatform: Hashable, Sendable {
  public let uuid: SystemUUID
  /// Cores of the one processor, at least 1.
  public let vcpuCount: Int
  /// RAM from each start, in bytes, ascending.
  public let memory: [Range<UInt64>]
  /// Of the monitor, for the firmware's and the product's version.
  public let version: String

  /// Describes a machine.
  ///
  /// - Parameter memory: ranges of whole KiB that are not empty.
  public init(uuid: SystemUUID, vcpuCount: Int, memory: [Range<UInt64>], version: String) {
    precondition(vcpuCount > 0, "\(vcpuCount) vCPUs in SMBIOS")
    precondition(
      memory.allSatisfy { !$0.isEmpty && $0.lowerBound % 1024 == 0 && $0.upperBound % 1024 == 0 },
      "RAM \(memory) in SMBIOS")
    self.uuid = uuid
    self.vcpuCount = vcpuCount
    self.memory = memory
    self.version = version
  }

  /// RAM in all, in bytes.
  var memoryByteCount: UInt64 {
    memory.reduce(0) { $0 + ($1.upperBound - $1.lowerBound) }
  }
}
