internal import GuestMemory
internal import VMM
internal import ZeroTracker

extension MachineOptions {
  /// The machine these options describe, without devices.
  func configuration(_ image: GuestImage) throws(MachineError) -> MachineConfiguration {
    var configuration = MachineConfiguration(
      image, memoryByteCount: memory.bytes, vcpuCount: cpuCount)
    switch backing {
    case .anonymous: configuration.backing = .anonymous
    case .memfd: configuration.backing = .memfd
    case .hugetlb: configuration.backing = .hugetlb
    }
    configuration.isPreallocated = preallocates
    configuration.usesTransparentHugePages = usesTransparentHugePages
    tracking.configure(&configuration)
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
    configuration.offersNesting = offersNesting
    return configuration
  }
}

extension TrackingOptions {
  fileprivate func configure(_ configuration: inout MachineConfiguration) {
    switch source {
    case .auto: configuration.writtenPageSource = nil
    case .dirtyLog: configuration.writtenPageSource = .dirtyLog
    case .writeProtect: configuration.writtenPageSource = .writeProtect
    }
    switch policy {
    case .untilAnswered(nil): configuration.trackingPolicy = .default
    case .untilAnswered(let seconds?):
      configuration.trackingPolicy = .untilAnswered(seconds: seconds)
    case .always: configuration.trackingPolicy = .always
    case .never: configuration.trackingPolicy = .never
    }
    switch refinement {
    case nil: configuration.refinement = .default
    case .off: configuration.refinement = .none
    case .reading(let byteCount):
      configuration.refinement = GuestMemory.RefinementBudget(
        readByteCount: Int(clamping: byteCount.bytes))
    }
    configuration.verifiesZeroedMemory = verifiesZeroedMemory
  }
}
