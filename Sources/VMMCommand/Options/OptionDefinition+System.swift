internal import MachineSpecification

/// The options of `run --kernel`, and those of every PC.
extension OptionDefinition {
  static let kernel = OptionDefinition(
    name: "--kernel", placeholder: "FILE",
    summary: "The guest: a Linux kernel, as a bzImage or as an ELF file with a PVH entry.")

  static let expectedMachine = OptionDefinition(
    name: "--config", placeholder: "FILE",
    summary: """
      Take only the machine that FILE describes, as 'run --print-config' prints it: then it is FILE \
      that says which files are opened.
      """)

  static let initrd = OptionDefinition(
    name: "--initrd", placeholder: "FILE",
    summary: "The kernel's initial RAM disk.")

  static let append = OptionDefinition(
    name: "--append", placeholder: "STRING",
    summary: "The kernel's command line, as one argument: quote it if it has spaces.")

  static let disk = OptionDefinition(
    name: "--disk", placeholder: "FILE[,OPTIONS]",
    summary: """
      An NVMe disk: a raw image or a block device. Options: readonly; bus=ahci, for a SATA disk; \
      serial=TEXT, for the guest's /dev/disk/by-id; block-size=512 or 4096; size=64G, which makes a \
      missing image; format=raw, for an image that begins as one of another format does. A comma in \
      a name or value is doubled.
      """,
    isRepeatable: true)

  static let cdrom = OptionDefinition(
    name: "--cdrom", placeholder: "FILE[,next=FILE]",
    summary: """
      A CD or DVD drive on a SATA adapter, with this image (ISO) in it, which is only read; none for \
      an empty drive. Ctrl-A m or SIGRTMIN puts in what is next, as often as one is named. A comma \
      in a name is doubled.
      """,
    isRepeatable: true,
    words: ["none"])

  static let serial = OptionDefinition(
    name: "--serial", placeholder: "WHERE",
    summary: """
      The first serial port: stdio, pty, file:FILE or none (default stdio). file:FILE,append \
      keeps what the file has; a comma in its name is doubled.
      """,
    words: ["stdio", "pty", "none"])

  static let display = OptionDefinition(
    name: "--display", placeholder: "WIDTHxHEIGHT",
    summary: """
      A display whose monitor prefers this size (default none, 1280x800 with --vnc or --screenshot).
      """)

  static let screenshot = OptionDefinition(
    name: "--screenshot", placeholder: "FILE",
    summary: "At the end, and at SIGUSR2, write what the display shows, as PNG.")

  static let vnc = OptionDefinition(
    name: "--vnc", placeholder: "WHERE",
    summary: """
      Show the display to VNC viewers, plain or in a browser (WebSocket), and take their keys and \
      pointers: [HOST]:DISPLAY, unix:PATH, auto (the first free display) or none (default none, auto \
      for 'windows'). Without a host only this one reaches it, at port 5900 + DISPLAY.
      """,
    words: [VNCOptions.firstFree, VNCOptions.off])

  static let vncPasswordFile = OptionDefinition(
    name: "--vnc-password-file", placeholder: "FILE",
    summary: "Viewers have to know the first line of FILE; its first 8 bytes count.")

  static let vncKeyboard = OptionDefinition(
    name: "--vnc-keyboard", placeholder: "LAYOUT",
    summary: """
      The keyboard layout that the guest has set, us or de, for viewers that send characters and no \
      keys (default us).
      """,
    words: words(of: VNCOptions.LayoutChoice.self))

  static let usb = OptionDefinition(
    name: "--usb", placeholder: "LIST",
    summary: """
      What is plugged into a USB controller (xHCI): tablet, keyboard, both (tablet,keyboard) or \
      none (default tablet with '--vnc' and for 'windows', else none). A guest that has set them up \
      gets pointers and keys of viewers there, any other by PS/2.
      """,
    words: words(of: USBDeviceSpec.self) + ["tablet,keyboard", "none"])

  static let tpm = OptionDefinition(
    name: "--tpm", placeholder: "WHERE",
    summary: """
      A TPM 2.0, emulated by swtpm with its state in the directory WHERE, which is made if it is \
      missing; socket=PATH, for one that runs; or none (default none, for 'windows' a directory \
      beside the variables, in FILE.tpm, where swtpm is installed).
      """,
    words: ["none"])

  static let net = OptionDefinition(
    name: "--net", placeholder: "WHERE",
    summary: """
      A network card, connected to: user, this host's network by passt, which is started; passt=PATH, \
      the socket of one that runs; tap=NAME, a tap device of this host; socket=FD, a connected stream \
      socket; or none (default none, user for 'windows'). user,hostfwd=tcp:127.0.0.1:3389-:3389 leads a port of this host to the guest; \
      mac=ADDRESS sets the card's address.
      """,
    isRepeatable: true,
    words: ["user", "none"])

  static let nic = OptionDefinition(
    name: "--nic", placeholder: "CARD",
    summary: """
      What the network cards are: e1000e, Intel's 82574L, or virtio, which Debian's cloud kernels and \
      OVMF have a driver for (default e1000e).
      """,
    words: words(of: NetworkCardSpec.self))

  static let randomNumbers = OptionDefinition(
    name: "--rng", placeholder: "CHOICE",
    summary: """
      A source of random numbers for the guest (virtio-rng): on or off (default on with \
      '--firmware', off with '--kernel' and for 'windows').
      """,
    words: words(of: RandomNumberChoice.self))

  static let balloon = OptionDefinition(
    name: "--balloon", placeholder: "SIZE",
    summary: """
      A memory balloon (virtio-balloon): the guest reports what memory it does not use, and this host \
      gets it back. SIZE, 0 when left out, is what the guest is to give up beside that; or none \
      (default none).
      """,
    impliedValue: "0",
    words: ["none"])

  static let vmbus = OptionDefinition(
    name: "--vmbus", placeholder: nil,
    summary: """
      Hyper-V's VMBus, with drivers that are part of Windows and Linux: shutdown, heartbeat, time, and \
      Dynamic Memory in place of the balloon's virtio. Needs a kernel with CONFIG_KVM_HYPERV.
      """)

  static let memoryPolicy = OptionDefinition(
    name: "--memory-policy", placeholder: "KIND",
    summary: """
      Who moves what the guest is to have, between half of --memory and its max=: fixed, nobody, or \
      auto: a guest that has little available gets more, and gives some up while this host is short \
      of memory (default fixed). Needs --vmbus or --balloon.
      """,
    words: words(of: MemoryPolicyChoice.self))

  static let rtc = OptionDefinition(
    name: "--rtc", placeholder: "CLOCK",
    summary: "The time the real-time clock starts at: utc or local (default utc).",
    words: words(of: ClockChoice.self))

  static let hyperVFeatures = OptionDefinition(
    name: "--hyperv-features", placeholder: "LIST",
    summary: """
      Hyper-V enlightenments by name, separated by commas; or none, default or all, then names to add \
      (+NAME) and remove (-NAME), spinlocks=N, version=V, vendor-id=TEXT. A wrong name lists all.
      """,
    words: ["default", "all", "none"])

  static let onCrash = OptionDefinition(
    name: "--on-crash", placeholder: "ACTION",
    summary: """
      When the guest reports its crash: report, which ends with status 1, or ignore (default \
      report).
      """,
    words: words(of: CrashAction.self))

  static let onReset = OptionDefinition(
    name: "--on-reset", placeholder: "ACTION",
    summary: "When the guest resets: reset the machine, or exit with status 0 (default reset).",
    words: words(of: ResetAction.self))

  static let traceIO = OptionDefinition(
    name: "--trace-io", placeholder: nil,
    summary: """
      At the end, print each port and page that the guest used and no device claimed, once for all \
      its lives.
      """)
}
