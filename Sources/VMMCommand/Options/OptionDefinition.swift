internal import MachineSpecification

/// One option: how it is spelled, whether it takes a value, and what help says about it.
struct OptionDefinition: Equatable, Sendable {
  /// With its dashes, as it is typed and as messages show it: `--memory`.
  let name: String
  /// What stands for the value in help (`SIZE`), or nil for an option without one.
  let placeholder: String?
  let summary: String
  /// Whether it may be given more than once, each time with a value of its own.
  var isRepeatable = false
  /// What the option means without a value; nil if it must have one.
  var impliedValue: String?
  /// Values that are words, for shells to complete; others may be possible beside them.
  var words: [String] = []

  var takesValue: Bool { placeholder != nil }
  /// Whether shells complete its value as a file's name.
  var takesFile: Bool { placeholder.map(Self.standsForFile) ?? false }
  /// Whether what help shows for a value, or for an operand, is a name in the file system.
  static func standsForFile(_ placeholder: String) -> Bool {
    ["DIR", "FILE", "PATH"].contains { placeholder.hasPrefix($0) }
  }
  var synopsis: String {
    (placeholder.map { "\(name) \($0)" } ?? name) + (isRepeatable ? "..." : "")
  }
}

extension OptionDefinition {
  /// The words of a choice, as `words` has them.
  static func words<Choice: SpecChoice>(of choice: Choice.Type) -> [String] {
    choice.allCases.map(\.rawValue)
  }

  /// - Parameters:
  ///   - byteCount: the default; nil for one that goes by the host.
  ///   - systemDefault: the default with `--kernel` or `--firmware`, where it is another one.
  static func memory(
    default byteCount: ByteCount?, ofSystem systemDefault: ByteCount? = nil
  ) -> OptionDefinition {
    let defaults =
      (byteCount.map { "default \($0.optionText)" } ?? "default: half of the host's, 4G to 8G")
      + (systemDefault.map { ", with --kernel and --firmware \($0.optionText)" } ?? "")
    return OptionDefinition(
      name: "--memory", placeholder: "SIZE[,max=SIZE][,target=SIZE]",
      summary: """
        Guest memory, such as 512M or 4G (\(defaults)). With --vmbus it can grow while the guest runs, \
        to max=, a multiple of 128M more. target= is what the guest is to have: less by its balloon, or \
        more.
        """)
  }

  static let cpus = OptionDefinition(
    name: "--cpus", placeholder: "N",
    summary: "Virtual processors, 1 to 4, with --kernel and --firmware to 64 (default 1).")

  static let backing = OptionDefinition(
    name: "--backing", placeholder: "KIND",
    summary: "What holds guest memory: anonymous, memfd or hugetlb (default anonymous).",
    words: words(of: MemorySpec.Backing.self))

  static let preallocate = OptionDefinition(
    name: "--prealloc", placeholder: nil,
    summary: "Have the host allocate all guest memory before the guest starts.")

  static let granularity = OptionDefinition(
    name: "--granularity", placeholder: "SIZE",
    summary: "Smallest block tracked as zero or not: a power of two from 4K to 32M.")

  static let transparentHugePages = OptionDefinition(
    name: "--thp", placeholder: nil,
    summary: "Ask the host for transparent huge pages.")

  static let tracking = OptionDefinition(
    name: "--tracking", placeholder: "SOURCE",
    summary: """
      What tells the guest's writes: auto, populated, dirty-log or write-protect (default auto: \
      populated, but the dirty log with --prealloc).
      """,
    words: ["auto"] + words(of: WrittenPageSourceKind.self))

  static let trackingPolicy = OptionDefinition(
    name: "--tracking-policy", placeholder: "WHEN",
    summary: """
      How long, where it costs the guest speed: until-answered (30 seconds after the first \
      answer), until-answered=SECONDS, always; or never.
      """,
    words: ["always", "never", "until-answered"])

  static let refine = OptionDefinition(
    name: "--refine", placeholder: "SIZE",
    summary: """
      How much memory that is in use is searched for zero pages before an answer \
      (default 256M), or off.
      """,
    words: ["off"])

  static let trimAtAnswer = OptionDefinition(
    name: "--trim-at-answer", placeholder: "MILLISECONDS",
    summary: """
      Give zero pages of sparsely used huge pages back to the host at each answer, for so long at \
      most (100 when left out). Needs Linux 6.12 and memory that is anonymous and not preallocated.
      """,
    impliedValue: "\(TrackingSpec.usualTrimMilliseconds)")

  static let verifyZeroed = OptionDefinition(
    name: "--verify-zeroed", placeholder: nil,
    summary: "Check that every page is zero before it is reported; end the run if one is not.")

  static let memoryHints = OptionDefinition(
    name: "--memory-hints", placeholder: "KIND",
    summary: """
      Which of the guest's hints about memory that it does not need are taken: none, discard or all \
      (default discard, but none with --prealloc or hugetlb).
      """,
    words: words(of: MemoryHints.self))

  static let hyperV = OptionDefinition(
    name: "--hyperv", placeholder: "KIND",
    summary: "Who implements the Hyper-V interface: auto, kernel or userspace (default auto).",
    words: words(of: HyperVSelection.self))

  static let paravirtualization = OptionDefinition(
    name: "--paravirt", placeholder: "KIND",
    summary: """
      Whose interface the guest finds: hyperv, or kvm for KVM's own, which Linux knows and which does \
      not tell what memory is zero (default hyperv).
      """,
    words: words(of: Paravirtualization.self))

  static let nested = OptionDefinition(
    name: "--nested", placeholder: nil,
    summary: "Let the guest run virtual machines of its own: show it VMX or SVM.")

  static let noZeroedMemory = OptionDefinition(
    name: "--no-zeroed-memory", placeholder: nil,
    summary: "Do not tell the guest which memory is zero, so that it zeroes all of it.")

  static let compare = OptionDefinition(
    name: "--compare", placeholder: nil,
    summary: "Run with and without boot-zeroed memory and print both side by side.")

  static let map = OptionDefinition(
    name: "--map", placeholder: "FILE.svg",
    summary: "Draw guest memory: touched by the VMM, written by the guest, reported zero.")

  static let json = OptionDefinition(
    name: "--json", placeholder: nil,
    summary: "Print the result as JSON.")

  static let traceHypercalls = OptionDefinition(
    name: "--trace-hypercalls", placeholder: "FILE",
    summary: """
      Write one line of JSON per hypercall. FILE,append keeps what the file has; a comma in its \
      name is doubled.
      """)

  static let sandbox = OptionDefinition(
    name: "--sandbox", placeholder: "MODE",
    summary: "Whether this program gives up what its guest does not need: on or off (default on).",
    words: words(of: SandboxChoice.self))

  static let control = OptionDefinition(
    name: "--control", placeholder: "unix:PATH",
    summary: """
      Make a socket by which programs of this user control the machine: HTTP with JSON, as \
      'vmm-run ctl PATH COMMAND' and curl speak it.
      """)

  static let snapshots = OptionDefinition(
    name: "--snapshots", placeholder: "DIR",
    summary: """
      Where the machine may be saved by 'vmm-run ctl PATH snapshot NAME', each time in a directory \
      of its own; made if it is missing. 'vmm-run restore DIR/NAME' goes on from there.
      """)

  static let newIdentity = OptionDefinition(
    name: "--new-identity", placeholder: nil,
    summary: """
      For a copy that runs beside the machine that was saved, or beside other copies: another UUID, and \
      another address of each network card. The guest finds them at its next reset, or when a driver \
      starts anew. Each machine that is restored has a generation ID of its own even without.
      """)

  static let evidence = OptionDefinition(
    name: "--evidence", placeholder: "DIR",
    summary: """
      Record in DIR/run-1, or the next number, what the guest does: hypercalls with their times, what \
      it turned on, memory and processor time by the second, screenshots. Nothing names this host or \
      its files. Each page is checked before it is reported. 'vmm-run evidence DIR' shows and packs it.
      """)

  static let pack = OptionDefinition(
    name: "--output", placeholder: "FILE",
    summary: "Then pack what was listed into FILE, such as evidence.tar.gz, by tar.")

  static let memoryLog = OptionDefinition(
    name: "--memory-log", placeholder: "FILE.svg",
    summary: "Draw the host's memory that each run had, over time, into a new FILE.svg.")

  static let withoutScreens = OptionDefinition(
    name: "--without-screens", placeholder: nil,
    summary: "Leave the screenshots out.")

  static let output = OptionDefinition(
    name: "--output", placeholder: "FILE",
    summary: "Write what is answered to FILE, as it comes.")

  static let program = OptionDefinition(
    name: "--program", placeholder: "FILE",
    summary: "The guest: a flat 64-bit image, loaded and entered at address 0x100000.")

  static let configuration = OptionDefinition(
    name: "--config", placeholder: "FILE",
    summary: """
      The machine, as JSON that --print-config printed. Other options change it; --disk and --fw-cfg \
      add to it.
      """)

  static let printConfiguration = OptionDefinition(
    name: "--print-config", placeholder: nil,
    summary: "Print the machine as JSON, and start nothing.")

  static let help = OptionDefinition(
    name: "--help", placeholder: nil, summary: "Print this help.")

  static let version = OptionDefinition(
    name: "--version", placeholder: nil, summary: "Print the version.")
}
