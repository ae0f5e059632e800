/// What happens when the guest reports its own crash, as `--on-crash` names it.
enum CrashAction: String, CaseIterable, Sendable {
  /// Say it on standard error and end with status 1.
  case report
  /// Let the guest go on: it may write a dump and reset by itself.
  case ignore
}

/// What happens when the guest resets the machine, as `--on-reset` names it.
enum ResetAction: String, CaseIterable, Sendable {
  case reset
  /// End with status 0.
  case exit
}

/// Which time the real-time clock is set to, as `--rtc` names it.
enum ClockChoice: String, CaseIterable, Sendable {
  case utc
  /// The host's time zone; what Windows expects.
  case local
}

/// What `vmm-run run` was asked to boot as a PC, and on which devices.
struct SystemOptions: Equatable, Sendable {
  /// What the machine starts with.
  enum Boot: Equatable, Sendable {
    case linux(LinuxOptions)
    case firmware(FirmwareOptions)
  }

  static let defaultMemory = ByteCount.gibi(1)

  var boot: Boot
  /// In the order given, which is the order the guest finds them in.
  var disks: [DiskOption] = []
  var serial = SerialChoice.stdio
  /// Nil for a machine without a display.
  var display: DisplayOption?
  var screenshotPath: String?
  var clock = ClockChoice.utc
  var hyperVFeatures = HyperVFeatureChoice()
  var onCrash = CrashAction.report
  var onReset = ResetAction.reset
  /// Whether accesses that no device claimed are printed, once each, at the end.
  var tracesIO = false

  init(_ boot: Boot) {
    self.boot = boot
  }

  /// Whether firmware's variables are kept in a file.
  var keepsFlash: Bool {
    guard case .firmware(let firmware) = boot else { return false }
    return firmware.variablesPath != nil && firmware.keepsVariables
  }

  /// Nil if neither a kernel nor firmware was given.
  init?(_ parsed: ParsedOptions) throws(UsageError) {
    for text in parsed.texts(.disk) {
      let disk = try DiskOption(parsing: text)
      if let serial = disk.serial, disks.contains(where: { $0.serial == serial }) {
        throw .repeatedSerial(option: OptionDefinition.disk.name, serial)
      }
      disks.append(disk)
    }
    if let path = parsed.text(.kernel) {
      boot = .linux(LinuxOptions(kernelPath: path, parsed))
    } else if let path = parsed.text(.firmware) {
      boot = .firmware(
        try FirmwareOptions(image: path, parsed, diskCount: disks.count))
    } else {
      return nil
    }
    if let text = parsed.text(.serial) { serial = try SerialChoice(parsing: text) }
    display = try parsed.text(.display).map { text throws(UsageError) in
      try DisplayOption(parsing: text)
    }
    screenshotPath = parsed.text(.screenshot)
    clock = try parsed.choice(.rtc) ?? clock
    if let text = parsed.text(.hyperVFeatures) {
      hyperVFeatures = try HyperVFeatureChoice(parsing: text)
    }
    onCrash = try parsed.choice(.onCrash) ?? onCrash
    onReset = try parsed.choice(.onReset) ?? onReset
    tracesIO = parsed.contains(.traceIO)
  }
}

/// The kernel of `run --kernel`, and what it is started with.
struct LinuxOptions: Equatable, Sendable {
  var kernelPath: String
  var initrdPath: String?
  /// The kernel's command line; nil when none was given, which leaves it to the caller.
  var commandLine: String?

  init(kernelPath: String) {
    self.kernelPath = kernelPath
  }

  init(kernelPath: String, _ parsed: ParsedOptions) {
    self.kernelPath = kernelPath
    initrdPath = parsed.text(.initrd)
    commandLine = parsed.text(.append)
  }
}
