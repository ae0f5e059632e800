internal import ControlAPI
internal import MachineSpecification

/// One command, declared: parsing, messages and help all read this table, so they cannot disagree.
struct CommandDefinition: Sendable {
  /// Two options that make no sense together, and why.
  struct Conflict: Sendable {
    let first: OptionDefinition
    let second: OptionDefinition
    let reason: String
  }

  /// What stands behind a first operand, and what it does.
  struct Verb: Sendable {
    let name: String
    let summary: String
  }

  /// Options that mean nothing without one of some others.
  struct Dependency: Sendable {
    let options: [OptionDefinition]
    let on: [OptionDefinition]
    /// Whether the file of `--config` may have what they need.
    var orFile = false

    func isMet(by parsed: ParsedOptions) -> Bool {
      on.contains(where: parsed.contains) || orFile && parsed.contains(.configuration)
    }
  }

  let name: CommandName
  let summary: String
  let discussion: String
  let options: [OptionDefinition]
  /// Words that are no options, as help shows them; empty for none.
  var operands = ""
  /// Words that the second operand can be.
  var verbs: [Verb] = []
  /// Options of which one must be given. That they exclude each other is said in `conflicts`.
  var alternatives: [OptionDefinition] = []
  var conflicts: [Conflict] = []
  var dependencies: [Dependency] = []
  let examples: [String]

  /// Whether shells complete the first operand as a file's name.
  var takesFile: Bool { OptionDefinition.standsForFile(operands) }

  func option(named name: String) -> OptionDefinition? {
    options.first { $0.name == name }
  }
}

extension CommandDefinition {
  static let demo = CommandDefinition(
    name: .demo,
    summary: "Show what boot-zeroed memory saves, with a guest that uses it.",
    discussion: """
      Starts a guest that asks which of its memory is already zero, as Windows does when it boots, \
      zeroes the rest, and then reads every page it was told is zero to see whether that is true. \
      Prints what was reported and what it saved.
      """,
    options: [
      .memory(default: DemoOptions.defaultMemory), .cpus, .backing, .preallocate,
      .transparentHugePages, .tracking, .trackingPolicy, .granularity, .refine,
      .trimAtAnswer, .verifyZeroed, .memoryHints, .hyperV, .noZeroedMemory, .compare, .map, .json,
      .traceHypercalls, .sandbox,
    ],
    conflicts: [
      Conflict(
        first: .compare, second: .noZeroedMemory,
        reason: "'--compare' already runs both with and without it")
    ],
    examples: [
      "vmm-run demo --compare",
      "vmm-run demo --memory 4G --cpus 4 --map memory.svg",
    ])

  static let check = CommandDefinition(
    name: .check,
    summary: "Say what this host offers, what would be used and what is missing.",
    discussion: """
      Looks at what virtual machines need from this host, without starting one, and says how to \
      get what is missing. Ends with status 3 when this host cannot run a guest.
      """,
    options: [.json],
    examples: ["vmm-run check"])

  static let run = CommandDefinition(
    name: .run,
    summary: "Run UEFI firmware, a Linux kernel, or a guest program of your own.",
    discussion: """
      With --firmware: starts UEFI firmware, which boots what the disks have. With --kernel: boots \
      an unmodified Linux kernel. Both are Hyper-V guests with the serial console on this terminal \
      (Ctrl-A x quits, Ctrl-A h helps). With --program: loads a flat 64-bit image at guest \
      physical address 0x100000 and enters it there in long mode, with the first 4 GiB mapped to \
      themselves and RSP at 0x100000. A byte written to port 0xE9 is printed; a write of N to port \
      0xF4 ends with exit status N. SIGUSR1 (or Ctrl-A i) prints what the vCPUs and disks are doing, \
      SIGRTMIN (or Ctrl-A m) puts the next medium into a CD drive, SIGUSR2 (or Ctrl-A s) writes \
      the screenshot.
      """,
    options: [.program] + [.kernel] + linux + [.firmware] + firmware + [
      .configuration, .printConfiguration,
    ] + system + [
      .memory(
        default: GuestSpec.program(file: "").usualMemory,
        ofSystem: ComputerSpec.usualMemory), .cpus,
      .backing, .preallocate, .transparentHugePages, .tracking, .trackingPolicy, .granularity,
      .refine, .trimAtAnswer, .verifyZeroed, .memoryHints, .paravirtualization, .hyperV, .nested,
      .traceHypercalls, .control, .snapshots, .sandbox,
    ],
    alternatives: [.program, .kernel, .firmware, .configuration],
    conflicts: [
      Conflict(first: .program, second: .kernel, reason: oneGuest),
      Conflict(first: .program, second: .firmware, reason: oneGuest),
      Conflict(first: .kernel, second: .firmware, reason: oneGuest),
      Conflict(first: .program, second: .configuration, reason: guestOfFile),
      Conflict(first: .kernel, second: .configuration, reason: guestOfFile),
      Conflict(first: .firmware, second: .configuration, reason: guestOfFile),
    ],
    dependencies: [
      Dependency(options: linux, on: [.kernel], orFile: true),
      Dependency(options: firmware, on: [.firmware], orFile: true),
      Dependency(options: system, on: [.kernel, .firmware], orFile: true),
      Dependency(options: [.noPersist], on: [.variables], orFile: true),
      viewers,
      saving,
    ],
    examples: [
      "vmm-run run --firmware OVMF_CODE_4M.fd --vars vars.fd --disk disk.img",
      "vmm-run run --kernel vmlinuz --initrd initrd.img --disk root.img",
      "vmm-run run --program guest.bin --trace-hypercalls calls.jsonl",
      "vmm-run run --config machine.json",
    ])

  static let windows = CommandDefinition(
    name: .windows,
    summary: "Install Windows from its ISO, or run it.",
    discussion: """
      Runs UEFI firmware with a disk, a display, a PS/2 keyboard, a USB tablet, and a CD drive with \
      the installation medium; memory and vCPUs fit this host, and the clock has local time. The \
      firmware's variables are kept beside the disk, in FILE.vars, and so is the state of a TPM, in \
      FILE.tpm, where swtpm is installed. Where passt is installed it has a network card on this \
      host's network. Without --iso it starts what is on the disk. It is a PC as 'run' makes it: \
      other options change it, and --print-config prints \
      it.
      """,
    options: [.windowsDisk, .iso, .firmware] + firmware + [.printConfiguration]
      + system.filter { $0 != .disk } + [
        .memory(default: nil), .cpus, .backing, .preallocate, .transparentHugePages, .tracking,
        .trackingPolicy, .granularity, .refine, .trimAtAnswer, .verifyZeroed, .memoryHints,
        .hyperV, .nested, .traceHypercalls, .control, .snapshots, .sandbox,
      ],
    alternatives: [.windowsDisk],
    dependencies: [saving],
    examples: [
      "vmm-run windows --iso windows.iso --disk windows.img:64G",
      "vmm-run windows --disk windows.img",
    ])

  static let restore = CommandDefinition(
    name: .restore,
    summary: "Go on with a machine that was saved.",
    discussion: """
      DIR is what 'vmm-run ctl PATH snapshot NAME' has made: the directory NAME below that of \
      --snapshots. The guest goes on at the instruction at which it was paused, on this host or \
      another of the same kind, with the disks, CDs and firmware variables that it had then: they \
      must not have changed. What belongs to a run, and not to the machine, is given anew. A reset \
      starts the machine as 'run' would.
      """,
    options: [
      .newIdentity, .serial, .screenshot, .vnc, .vncPasswordFile, .vncKeyboard, .traceHypercalls,
      .traceIO, .control, .snapshots, .sandbox,
    ],
    operands: "DIR",
    dependencies: [
      viewers,
      saving,
    ],
    examples: [
      "vmm-run restore saved/before-update",
      "vmm-run restore saved/before-update --vnc :1 --control unix:vm.sock --snapshots saved",
      "vmm-run restore saved/ready --new-identity",
    ])

  static let receive = CommandDefinition(
    name: .receive,
    summary: "Wait for a machine that moves here while it runs.",
    discussion: """
      Waits at ADDRESS, unix:PATH or tcp:ADDRESS:PORT, for one connection of 'vmm-run ctl PATH \
      migrate', becomes the machine that comes over it, and goes on with it when the source has \
      let go. Disks, CDs and firmware variables must be the same files on both sides, by the same \
      paths. What belongs to a run, and not to the machine, is given anew. The source says which \
      files are opened: over TCP that is whoever reaches the port, unless --config names the \
      machine. A reset starts the machine as 'run' would.
      """,
    options: [
      .expectedMachine, .serial, .screenshot, .vnc, .vncPasswordFile, .vncKeyboard,
      .traceHypercalls, .traceIO, .control, .snapshots, .sandbox,
    ],
    operands: "ADDRESS",
    dependencies: [
      viewers,
      saving,
    ],
    examples: [
      "vmm-run receive unix:move.sock --control unix:vm.sock",
      "vmm-run receive tcp:192.0.2.7:7777 --config machine.json --control unix:vm.sock",
    ])

  static let ctl = CommandDefinition(
    name: .ctl,
    summary: "Ask a machine that runs, or tell it what to do.",
    discussion: """
      Speaks to the machine whose --control socket is PATH. COMMAND is ping, info, counters, metrics, \
      events, screenshot, pause, resume, power-button, reboot, shutdown, \
      snapshot NAME (below the directory of --snapshots), migrate ADDRESS [downtime=MS] [rounds=N] \
      [if-busy=stay] (to a 'vmm-run receive'), cancel-migration, resize SIZE (what the guest gives up to its \
      balloon), resize memory SIZE (what it is to have, up to max= of --memory), trim (zero pages of huge pages back to the host), nic N up or down (its cable), or cdrom [WHAT [DRIVE]], where WHAT is \
      next, eject or an image that was named for the drive. Prints what is answered, JSON with one member a line; events as they come, \
      one JSON object a line. Ends with status 1 when the machine cannot do it, or none is there.
      """,
    options: [.output],
    operands: "PATH COMMAND [ARG]...",
    verbs: ControlRoute.allCases.map { Verb(name: $0.command, summary: $0.summary) },
    examples: [
      "vmm-run ctl vm.sock info",
      "vmm-run ctl vm.sock resize 512M",
      "vmm-run ctl vm.sock resize memory 6G",
      "vmm-run ctl vm.sock screenshot --output screen.png",
    ])

  static let evidence = CommandDefinition(
    name: .evidence,
    summary: "Show what --evidence recorded, and pack it into one file to send.",
    discussion: """
      Lists the files of the runs in DIR, with what each says, and compares the runs: what was reported \
      as zero, when, and what memory and processor time went by then. One run with --evidence DIR and \
      one with --hyperv-features default,-boot-zeroed-memory besides tell what 0x8002 is worth. Screenshots \
      show what the screen showed: look at them before you send them, and remove what is nobody's \
      business.
      """,
    options: [.pack, .withoutScreens, .memoryLog],
    operands: "DIR",
    dependencies: [],
    examples: [
      "vmm-run evidence record",
      "vmm-run evidence record --output evidence.tar.gz",
    ])

  private static let saving = Dependency(options: [.snapshots], on: [.control])
  private static let viewers = Dependency(
    options: [.vncPasswordFile, .vncKeyboard], on: [.vnc])
  private static let oneGuest = "a machine starts with one of them"
  private static let guestOfFile = "the file says what the machine starts with"

  static let linux: [OptionDefinition] = [.initrd, .append]

  static let firmware: [OptionDefinition] = [
    .variables, .variablesTemplate, .noPersist, .secureBoot, .uuid, .smbios, .bootOrder,
    .firmwareFile,
  ]

  /// What describes a PC, and means nothing to a flat program.
  static let system: [OptionDefinition] = [
    .disk, .cdrom, .serial, .display, .screenshot, .vnc, .vncPasswordFile, .vncKeyboard, .usb,
    .tpm, .net, .nic, .randomNumbers, .balloon, .vmbus, .memoryPolicy, .rtc, .hyperVFeatures,
    .onCrash, .onReset,
    .traceIO, .evidence,
  ]
}
