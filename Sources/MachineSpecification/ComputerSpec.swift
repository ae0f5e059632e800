/// A PC: what it boots, its devices, and what its ends mean. A thread-safe value.
public struct ComputerSpec: Hashable, Sendable {
  /// The memory of a PC, unless another size is asked for.
  public static let usualMemory = ByteCount.gibi(1)

  public var boot: BootSpec
  /// In the order in which the guest finds them.
  public var disks: [DiskSpec] = []
  /// On the first ports of the SATA adapter, which is there if a drive or a disk is on it.
  public var cdroms: [CDROMSpec] = []
  public var serial = SerialSpec.stdio
  /// Nil for a machine without a display.
  public var display: DisplaySpec?
  /// What is plugged into the USB controller, which is there if something is; nil for what a run
  /// makes of it: a tablet for a machine with viewers, else nothing.
  public var usb: [USBDeviceSpec]?
  /// Nil for a machine without one.
  public var tpm: TPMSpec?
  /// In the order in which the guest finds them.
  public var networks: [NetworkSpec] = []
  /// Whether there is a source of random numbers; nil for what its boot makes of it
  /// (`hasRandomNumbers`).
  public var randomNumbers: RandomNumberChoice?
  /// Nil for a machine without one.
  public var balloon: BalloonSpec?
  /// Whether there is VMBus, whose Dynamic Memory then serves the balloon.
  public var hasVMBus = false
  public var clock = ClockChoice.utc
  public var onCrash = CrashAction.report
  public var onReset = ResetAction.reset

  /// As many as the SATA adapter has.
  public static let sataPortCount = 6

  package func checkSATAPorts() throws(SpecValueError) {
    let count = cdroms.count + disks.count { $0.bus == .ahci }
    guard count <= Self.sataPortCount else {
      throw SpecValueError(
        "\(count) drives and disks on the SATA adapter are too many; at most "
          + "\(Self.sataPortCount) fit")
    }
  }

  /// Whether the machine has a source of random numbers: with firmware, unless it is said, as
  /// OVMF's network boot needs one.
  public var hasRandomNumbers: Bool {
    if let randomNumbers { return randomNumbers == .on }
    switch boot {
    case .firmware: return true
    case .kernel: return false
    }
  }

  /// A PC without disks, its serial port on this terminal.
  public init(_ boot: BootSpec) {
    self.boot = boot
  }
}

/// What happens when the guest reports its own crash.
public enum CrashAction: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  /// Say it on standard error and end with status 1.
  case report
  /// Let the guest go on: it may write a dump and reset by itself.
  case ignore
}

/// What happens when the guest resets the machine.
public enum ResetAction: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  case reset
  /// End with status 0.
  case exit
}

/// Whether a machine has a source of random numbers (virtio-rng).
public enum RandomNumberChoice: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  case on
  case off
}

/// A memory balloon (virtio-balloon, or Dynamic Memory where there is VMBus), by which the guest
/// gives memory back.
public struct BalloonSpec: Hashable, Sendable {
  /// What the guest is to give up from its start on, in pages of 4 KiB; with 0 it reports what is
  /// free, and gives up nothing.
  public var targetPageCount: UInt32

  /// A balloon of a size.
  public init(targetPageCount: UInt32 = 0) {
    self.targetPageCount = targetPageCount
  }

  /// Reads the size: 0, or one of whole pages.
  package init(parsing text: String) throws(SpecValueError) {
    guard text != "0" else {
      self.init()
      return
    }
    let byteCount = try MemorySpec.byteCount(parsing: text)
    guard let pageCount = UInt32(exactly: byteCount.bytes / 4096) else {
      throw SpecValueError("\(byteCount.optionText) is more than a balloon can be, 16T - 4K")
    }
    self.init(targetPageCount: pageCount)
  }

  /// As an option takes it.
  package var text: String { ByteCount(UInt64(targetPageCount) * 4096).optionText }
}

/// Which time the real-time clock is set to.
public enum ClockChoice: String, Hashable, Sendable, CaseIterable, Codable, SpecChoice {
  case utc
  /// The host's time zone; what Windows expects.
  case local
}
