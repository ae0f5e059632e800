public import GuestMemory

/// Where a Linux kernel and what it needs to start lie in guest memory.
///
/// | GPA | what |
/// | --- | --- |
/// | 0x1000 | global descriptor table |
/// | 0x2000 | PVH: hvm_start_info, module list and memory map |
/// | 0x7000 | bzImage: boot_params |
/// | 0x10000 | bzImage: page tables of the first 4 GiB |
/// | 0x20000–0x2FFFF | command line |
/// | 0x100000– | kernel |
/// | as high as possible below 2 GiB | initrd |
///
/// Making a plan checks everything against RAM; loading it can only fail if a file cannot be read.
public struct LinuxBootPlan: Sendable {
  static let descriptorTableAddress = GPA(0x1000)
  static let startInfoAddress = GPA(0x2000)
  static let parametersAddress = GPA(0x7000)
  static let tables = IdentityMap(at: GPA(0x1_0000), covering: GuestMemoryLayout.highStart)
  static let commandLineAddress = GPA(0x2_0000)
  /// Room for the command line with its NUL; more than any kernel takes.
  static let commandLineCapacity = 0x1_0000
  /// All of the above; in RAM whatever the layout, as RAM has 1 MiB or more.
  static let lowRange: Range<UInt64> = 0x1000..<0x3_0000
  /// PVH does not tell; this is Linux's COMMAND_LINE_SIZE less the NUL.
  private static let pvhCommandLineByteCount = 2047

  /// What the kernel is told of memory.
  public let memoryMap: E820Map
  /// What the kernel needs, from its load address to the end of its init_size or last segment.
  public let kernelAddresses: Range<UInt64>
  /// Where the initrd lies; nil without one.
  public let initrdAddresses: Range<UInt64>?
  /// Where the boot CPU starts.
  public let entry: GPA

  let image: LinuxImage
  let kernel: BootFile
  let initrd: BootFile?
  /// Without NUL.
  let commandLine: [UInt8]
  /// The ACPI root pointer; 0 if there is none.
  let rootPointer: UInt64
  let layout: GuestMemoryLayout

  /// Plans, and checks that everything fits.
  ///
  /// - Parameters:
  ///   - kernel: a bzImage, or a vmlinux with a PVH entry.
  ///   - initrd: in any form the kernel unpacks; nil for none.
  ///   - commandLine: passed on as it is, without NUL.
  ///   - acpi: the root pointer's address and the tables' range, in RAM outside of the addresses
  ///     above; somebody else writes them. Without, the kernel finds one CPU and no I/O APIC.
  /// - Throws: `MachineError.kernel` with what is wrong and what to do.
  public init(
    kernel: BootFile, initrd: BootFile? = nil, commandLine: [UInt8], layout: GuestMemoryLayout,
    acpi: (rsdp: UInt64, range: Range<UInt64>)? = nil
  ) throws(MachineError) {
    memoryMap = try E820Map(layout: layout, acpiTables: acpi?.range)
    image = try LinuxImage(kernel)
    self.kernel = kernel
    self.initrd = initrd
    self.layout = layout
    self.commandLine = commandLine
    rootPointer = acpi?.rsdp ?? 0
    do throws(LinuxImageError) {
      if let acpi { try Self.check(acpi, layout: layout) }
      try Self.check(self.commandLine, limit: Self.commandLineLimit(of: image))
      var placement = LinuxPlacement(memoryMap, layout: layout)
      let initrdLimit: UInt64
      switch image {
      case .bzImage(let image):
        kernelAddresses = try placement.place(image)
        entry = GPA(kernelAddresses.lowerBound + BzImage.entryOffset)
        initrdLimit = image.initrdLimit
      case .pvh(let image):
        kernelAddresses = try placement.place(image)
        entry = GPA(image.entry)
        initrdLimit = GuestMemoryLayout.lowEnd.rawValue
      }
      initrdAddresses =
        if let initrd {
          try placement.place(initrd, above: kernelAddresses, limit: initrdLimit)
        } else { nil }
    } catch {
      throw .kernel(error)
    }
  }

  /// The same with a command line that is text.
  public init(
    kernel: BootFile, initrd: BootFile? = nil, commandLine: String, layout: GuestMemoryLayout,
    acpi: (rsdp: UInt64, range: Range<UInt64>)? = nil
  ) throws(MachineError) {
    try self.init(
      kernel: kernel, initrd: initrd, commandLine: Array(commandLine.utf8), layout: layout,
      acpi: acpi)
  }

  private static func commandLineLimit(of image: LinuxImage) -> Int {
    switch image {
    case .bzImage(let image): min(image.maximumCommandLineByteCount, commandLineCapacity - 1)
    case .pvh: pvhCommandLineByteCount
    }
  }

  private static func check(_ commandLine: [UInt8], limit: Int) throws(LinuxImageError) {
    guard commandLine.count <= limit else {
      throw .commandLine(
        problem: "the command line has \(commandLine.count) bytes, the kernel takes \(limit)",
        cure: "shorten it")
    }
    guard !commandLine.contains(0) else {
      throw .commandLine(problem: "the command line has a NUL", cure: "remove it")
    }
  }

  private static func check(
    _ acpi: (rsdp: UInt64, range: Range<UInt64>), layout: GuestMemoryLayout
  ) throws(LinuxImageError) {
    guard !acpi.range.overlaps(lowRange) else {
      throw .placement(
        what: "the ACPI tables at GPA \(acpi.range.hexadecimal) overlap the boot information at"
          + " \(lowRange.hexadecimal)", cure: "place them elsewhere")
    }
    // The length of an ACPI 2.0 root pointer.
    guard layout.contains(GPA(acpi.rsdp), byteCount: 36) else {
      throw .placement(
        what: "the ACPI root pointer at GPA \(GPA(acpi.rsdp)) is not in RAM",
        cure: "choose an address in the guest's \(layout.ramByteCount) bytes of memory")
    }
  }
}
