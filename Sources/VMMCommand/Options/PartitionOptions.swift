internal import MachineSpecification

/// The options that every command has that starts a machine.
extension PartitionSpec {
  /// Takes what was given.
  ///
  /// - Parameter vcpuCounts: how many vCPUs the guest can have.
  mutating func take(
    _ parsed: ParsedOptions, vcpuCounts: ClosedRange<Int>
  ) throws(UsageError) {
    try memory.take(parsed)
    vcpuCount = try parsed.integer(.cpus, in: vcpuCounts) ?? vcpuCount
    guard vcpuCounts.contains(vcpuCount) else {
      throw .invalidValue(
        option: OptionDefinition.cpus.name, .number("\(vcpuCount)", in: vcpuCounts))
    }
    try tracking.take(parsed)
    if let conflict = trimConflict {
      throw .conflict(
        OptionDefinition.trimAtAnswer.name, conflict.other, reason: conflict.reason)
    }
    paravirtualization = try parsed.choice(.paravirtualization) ?? paravirtualization
    if paravirtualization == .kvm {
      for option in [OptionDefinition.hyperV, .hyperVFeatures, .vmbus] where parsed.contains(option)
      {
        throw .conflict(
          "\(OptionDefinition.paravirtualization.name) kvm", option.name,
          reason: "such a guest finds nothing of Hyper-V")
      }
    }
    hyperV.transport = try parsed.choice(.hyperV) ?? hyperV.transport
    hyperV.isNested = hyperV.isNested || parsed.contains(.nested)
    hyperV.features =
      try parsed.value(.hyperVFeatures) { (text) throws(SpecValueError) in
        try EnlightenmentChoice(parsing: text)
      } ?? hyperV.features
    if let features = hyperV.featuresOfNestedGuests {
      throw .missingCompanion(
        option: "\(OptionDefinition.hyperVFeatures.name) \(features)",
        needs: OptionDefinition.nested.name)
    }
  }
}

extension MemorySpec {
  fileprivate mutating func take(_ parsed: ParsedOptions) throws(UsageError) {
    if let text = parsed.text(.memory(default: byteCount)) {
      try parsed.checked(.memory(default: byteCount)) { () throws(SpecValueError) in
        try takeSizes(CommaList.split(text))
      }
    }
    backing = try parsed.choice(.backing) ?? backing
    isPreallocated = isPreallocated || parsed.contains(.preallocate)
    usesTransparentHugePages =
      usesTransparentHugePages || parsed.contains(.transparentHugePages)
    hints = try parsed.choice(.memoryHints) ?? hints
    if let conflict = hintsConflict {
      throw .conflict(
        "--memory-hints \(conflict.hints.rawValue)", conflict.other,
        reason: "that memory is not given back")
    }
  }
}

extension MemorySpec {
  /// `SIZE[,max=SIZE][,target=SIZE]`: what is not named is not there.
  fileprivate mutating func takeSizes(_ words: [String]) throws(SpecValueError) {
    byteCount = try Self.byteCount(parsing: words[0])
    (maximum, target) = (nil, nil)
    for word in words.dropFirst() {
      let (key, value) = CommaList.pair(word)
      let size: WritableKeyPath<MemorySpec, ByteCount?>
      switch key {
      case "max": size = \.maximum
      case "target": size = \.target
      default: throw .unknown(word, choices: ["max=SIZE", "target=SIZE"])
      }
      guard self[keyPath: size] == nil else {
        throw SpecValueError("is there twice; leave one out", part: "\(key)=")
      }
      do throws(SpecValueError) {
        self[keyPath: size] = try Self.byteCount(parsing: value ?? "")
      } catch {
        throw SpecValueError(error.description, part: "\(key)=")
      }
    }
  }
}

extension TrackingSpec {
  fileprivate mutating func take(_ parsed: ParsedOptions) throws(UsageError) {
    if let text = parsed.text(.tracking) {
      source = try parsed.checked(.tracking) { () throws(SpecValueError) in
        try Self.source(parsing: text)
      }
    }
    policy =
      try parsed.value(.trackingPolicy) { (text) throws(SpecValueError) in
        try .init(parsing: text)
      } ?? policy
    granularity =
      try parsed.value(.granularity) { (text) throws(SpecValueError) in
        try .init(parsing: text)
      } ?? granularity
    refinement =
      try parsed.value(.refine) { (text) throws(SpecValueError) in
        try Refinement(parsing: text)
      } ?? refinement
    trimMilliseconds =
      try parsed.integer(.trimAtAnswer, in: Self.trimRange) ?? trimMilliseconds
    verifiesZeroedMemory = verifiesZeroedMemory || parsed.contains(.verifyZeroed)
  }
}
