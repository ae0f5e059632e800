internal import GuestMemory
internal import VMM
internal import ZeroTracker

extension MachineOptions {
  /// The machine these options describe, without devices.
  func configuration(program: [UInt8]) throws(MachineError) -> MachineConfiguration {
    var configuration = MachineConfiguration(
      program: program, memoryByteCount: memory.bytes, vcpuCount: cpuCount)
    switch backing {
    case .anonymous: configuration.backing = .anonymous
    case .memfd: configuration.backing = .memfd
    case .hugetlb: configuration.backing = .hugetlb
    }
    configuration.isPreallocated = preallocates
    if let granularity {
      do {
        configuration.granularity = try TrackingGranularity(byteCount: granularity.bytes)
      } catch {
        throw .configuration(error.description)
      }
    }
    switch hyperV {
    case .auto: configuration.hyperV = .automatic
    case .kernel: configuration.hyperV = .kernel
    case .userspace: configuration.hyperV = .userspace
    }
    return configuration
  }
}
