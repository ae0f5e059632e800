/// vCPUs, memory, and what the guest finds of its hypervisor: what every machine has. A thread-safe
/// value.
public struct PartitionSpec: Hashable, Sendable {
  public var vcpuCount = 1
  public var memory: MemorySpec
  public var tracking = TrackingSpec()
  public var paravirtualization = Paravirtualization.hyperV
  /// Without meaning for a guest that does not find Hyper-V.
  public var hyperV = HyperVSpec()

  /// One vCPU, and defaults for everything else.
  public init(memory: ByteCount) {
    self.memory = MemorySpec(memory)
  }

  /// What zero pages cannot be given back with at answers, though that is asked for; as options.
  package var trimConflict: (other: String, reason: String)? {
    guard tracking.trimMilliseconds != nil else { return nil }
    if memory.isPreallocated { return ("--prealloc", "that memory is not given back") }
    if memory.backing != .anonymous {
      return (
        "--backing \(memory.backing.rawValue)", "the kernel keeps zero pages of such memory"
      )
    }
    return tracking.source == .writeProtect
      ? ("--tracking write-protect", "what is given back would not be reported as zero") : nil
  }
}

/// Guest memory, and what the host backs it with. A thread-safe value.
public struct MemorySpec: Hashable, Sendable {
  /// What holds guest memory.
  public enum Backing: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
    case anonymous
    case memfd
    case hugetlb
  }

  /// Whole pages of 4 KiB: what the guest starts with.
  public var byteCount: ByteCount
  /// What it can grow to, a multiple of 128 MiB more; nil for no more than it starts with.
  public var maximum: ByteCount?
  /// What the guest is to have: less by a balloon, more by what is added; nil for what it starts
  /// with, less its balloon.
  public var target: ByteCount?
  public var backing = Backing.anonymous
  /// Whether the host gives all of it before the guest starts.
  public var isPreallocated = false
  /// Whether 2 MiB pages are asked for where the host gives them on request only.
  public var usesTransparentHugePages = false

  /// Which hints are taken; nil for discards, where memory can be given back.
  public var hints: MemoryHints?

  /// What of `hints` cannot be, with what it cannot be together with, in `hints`' words and those
  /// of an option.
  package var hintsConflict: (hints: MemoryHints, other: String)? {
    guard let hints, hints != .none else { return nil }
    if isPreallocated { return (hints, "--prealloc") }
    return backing == .hugetlb ? (hints, "--backing hugetlb") : nil
  }

  /// The most that the guest can have.
  package var largest: ByteCount { max(maximum ?? byteCount, byteCount) }

  /// How much may be added, in bytes.
  public var growthByteCount: UInt64 { largest.bytes - byteCount.bytes }

  /// The unit of what may be added: as much as Linux takes at a time.
  private static let growthUnit = ByteCount.mebi(128)
  /// What a machine can have.
  private static let most = ByteCount(4 << 40)

  /// Whether maximum and target can be.
  ///
  /// - Parameter computer: the PC that has this memory; nil for a flat program.
  package func checkSizes(of computer: ComputerSpec?) throws(SpecValueError) {
    if let maximum {
      guard maximum >= byteCount else {
        throw SpecValueError(
          "\(maximum.optionText) is less than the \(byteCount.optionText) that the guest starts with",
          part: "max=")
      }
      guard maximum <= Self.most else {
        throw SpecValueError(
          "\(maximum.optionText) is more than a machine can have, 4T", part: "max=")
      }
      guard growthByteCount.isMultiple(of: Self.growthUnit.bytes) else {
        throw SpecValueError(
          "\(maximum.optionText) is not \(byteCount.optionText) and a multiple of 128M",
          part: "max=")
      }
      guard computer?.hasVMBus == true else {
        throw SpecValueError("memory is added by VMBus; add --vmbus", part: "max=")
      }
      guard !isPreallocated, backing != .hugetlb else {
        throw SpecValueError(
          "memory that is added is allocated when it is used; leave out "
            + (isPreallocated ? "--prealloc" : "--backing hugetlb"), part: "max=")
      }
    }
    guard let target else { return }
    guard let computer, computer.hasVMBus || computer.balloon != nil else {
      throw SpecValueError(
        "nothing tells the guest; add --vmbus, or --balloon for less than it starts with",
        part: "target=")
    }
    guard (computer.balloon?.targetPageCount ?? 0) == 0 else {
      throw SpecValueError(
        "the size of --balloon says that already; leave one out", part: "target=")
    }
    guard target <= largest else {
      throw SpecValueError(
        "\(target.optionText) is more than the \(largest.optionText) that the guest can have",
        part: "target=")
    }
  }

  /// Memory of the host's usual pages.
  public init(_ byteCount: ByteCount) {
    self.byteCount = byteCount
  }

  /// Reads a size of whole pages.
  package static func byteCount(parsing text: String) throws(SpecValueError) -> ByteCount {
    let byteCount = try ByteCount(reading: text)
    guard byteCount.bytes.isMultiple(of: 4096) else {
      throw SpecValueError("\(byteCount.optionText) is not a whole number of 4 KiB pages")
    }
    return byteCount
  }
}

/// Which hints of the guest about its memory are taken (hypercall 0x8003).
public enum MemoryHints: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  case none
  /// Memory that the guest does not need and whose content does not matter is given back to the
  /// host. Linux asks by it.
  case discard
  /// Besides: what will not be used soon, or will be. No guest is known that uses these; Windows is
  /// described to.
  case all
}

/// Whose interface a guest finds: it takes the one that CPUID names.
public enum Paravirtualization: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  /// Hyper-V's, which Windows and Linux know, and which tells what memory is zero.
  case hyperV = "hyperv"
  /// KVM's own, for Linux alone: clock, asynchronous page faults, ends of interrupts without an
  /// exit. Such a guest cannot ask which of its memory is zero.
  case kvm
}

/// Which Hyper-V transport to use.
public enum HyperVSelection: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  /// The kernel's where it has extended hypercalls, else userspace.
  case automatic = "auto"
  /// KVM answers MSRs and passes extended hypercalls on (`KVM_EXIT_HYPERV`).
  case kernel
  /// This process answers MSRs and hypercalls; works on a KVM without CONFIG_KVM_HYPERV.
  case userspace
}

/// What the guest finds of Hyper-V's interface. A thread-safe value.
public struct HyperVSpec: Hashable, Sendable {
  public var transport = HyperVSelection.automatic
  public var features = EnlightenmentChoice()
  /// Whether the guest finds VMX or SVM, and may run virtual machines of its own.
  public var isNested = false

  /// The defaults.
  public init() {}
}
