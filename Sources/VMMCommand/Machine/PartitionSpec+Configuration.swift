internal import Devices
internal import GuestMemory
internal import MachineSpecification
internal import VMM

extension MemorySpec {
  /// What a guest with this memory is to have.
  func size(_ byteCount: UInt64) -> MemorySize {
    let layout = try? GuestMemoryLayout(
      ramByteCount: self.byteCount.bytes, growthByteCount: growthByteCount)
    return MemorySize(
      byteCount: byteCount, startByteCount: self.byteCount.bytes, growthByteCount: growthByteCount,
      growthStepByteCount: layout?.growthStep ?? GuestMemoryLayout.growthUnit)
  }
}

extension PartitionSpec {
  /// The machine that these describe, without devices.
  func configuration(_ image: GuestImage) -> MachineConfiguration {
    var configuration = MachineConfiguration(
      image, memoryByteCount: memory.byteCount.bytes, vcpuCount: vcpuCount)
    switch memory.backing {
    case .anonymous: configuration.backing = .anonymous
    case .memfd: configuration.backing = .memfd
    case .hugetlb: configuration.backing = .hugetlb
    }
    configuration.growthByteCount = memory.growthByteCount
    configuration.isPreallocated = memory.isPreallocated
    configuration.usesTransparentHugePages = memory.usesTransparentHugePages
    configuration.memoryHints = memory.hints ?? .discard
    configuration.writtenPageSource = tracking.source
    configuration.trackingPolicy = tracking.policy
    configuration.granularity = tracking.granularity
    switch tracking.refinement {
    case nil: configuration.refinement = .default
    case .off: configuration.refinement = .none
    case .reading(let byteCount):
      configuration.refinement = GuestMemory.RefinementBudget(
        readByteCount: Int(clamping: byteCount.bytes))
    }
    configuration.trimAtAnswer = tracking.trimMilliseconds.map { milliseconds in
      HugePageTrimmer.Budget(
        readByteCount: HugePageTrimmer.Budget.default.readByteCount, milliseconds: milliseconds)
    }
    configuration.verifiesZeroedMemory = tracking.verifiesZeroedMemory
    configuration.paravirtualization = paravirtualization
    configuration.hyperV = hyperV.transport
    configuration.enlightenments = hyperV.features.selection
    configuration.hyperVParameters = hyperV.features.parameters
    configuration.offersNesting = hyperV.isNested
    return configuration
  }
}
