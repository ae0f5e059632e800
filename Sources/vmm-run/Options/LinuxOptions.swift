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

/// What `vmm-run run --kernel` was asked to boot, and on which devices.
struct LinuxOptions: Equatable, Sendable {
  static let defaultMemory = ByteCount.gibi(1)

  var kernelPath: String
  var initrdPath: String?
  /// The kernel's command line; nil when none was given, which leaves it to the caller.
  var commandLine: String?
  /// In the order given, which is the order the guest finds them in.
  var disks: [DiskOption] = []
  var serial = SerialChoice.stdio
  var clock = ClockChoice.utc
  var hyperVFeatures = HyperVFeatureChoice.default
  var onCrash = CrashAction.report
  var onReset = ResetAction.reset
  /// Whether accesses that no device claimed are printed, once each, at the end.
  var tracesIO = false

  init(kernelPath: String) {
    self.kernelPath = kernelPath
  }

  init(kernelPath: String, _ parsed: ParsedOptions) throws(UsageError) {
    self.kernelPath = kernelPath
    initrdPath = parsed.text(.initrd)
    commandLine = parsed.text(.append)
    for text in parsed.texts(.disk) { disks.append(try DiskOption(parsing: text)) }
    if let text = parsed.text(.serial) { serial = try SerialChoice(parsing: text) }
    clock = try parsed.choice(.rtc) ?? clock
    if let text = parsed.text(.hyperVFeatures) {
      hyperVFeatures = try HyperVFeatureChoice(parsing: text)
    }
    onCrash = try parsed.choice(.onCrash) ?? onCrash
    onReset = try parsed.choice(.onReset) ?? onReset
    tracesIO = parsed.contains(.traceIO)
  }
}
