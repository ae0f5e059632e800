internal import GuestMemory
import HostSystem
internal import Sandbox

@testable internal import VMM

/// Kernels, initrds and command lines of any contents and sizes: parsed, placed, and loaded into
/// memory.
///
/// A kernel is any bytes, or a good bzImage or ELF with some fields changed.
final class KernelImageTarget: FuzzTarget {
  static let name = "kernel-image"
  static let maximumInputByteCount = 2048
  static let role = ThreadRole.service

  private static let memorySizes: [UInt64] = [
    1 << 20, 2 << 20, 16 << 20, 16 << 20 + 4096, 2 << 30, 3 << 30, 4 << 40,
  ]
  /// Memory and files up to here are loaded, not only planned.
  private static let maximumLoadByteCount: UInt64 = 32 << 20
  private let kernelFile = MemoryFile()
  private let initrdFile = MemoryFile()
  private var guests: [UInt64: GuestMemory] = [:]

  init() {}

  func run(_ input: FuzzInput) {
    do throws(MachineError) {
      try boot(input)
    } catch {
      let text = error.description
      require(!text.isEmpty && !text.contains("\n"), "not one line: \(text)")
    }
  }

  private func boot(_ input: FuzzInput) throws(MachineError) {
    let shape = input.byte
    let initrdByteCount = Self.initrdByteCount(input)
    // Longer than any kernel takes, now and then.
    let count = Int(input.byte) << (input.byte == 0xFF ? 8 : 0)
    let commandLine = String(repeating: shape & 0x80 == 0 ? "a" : "a\0é", count: count)
    let acpi: (rsdp: UInt64, range: Range<UInt64>)? =
      shape & 0x40 == 0
      ? nil : Self.range(input.anyMagnitude, input.anyMagnitude).map { ($0.lowerBound, $0) }
    let memoryByteCount = input.pick(Self.memorySizes)
    guard let layout = try? GuestMemoryLayout(ramByteCount: memoryByteCount) else {
      fatalError("a layout that does not exist")
    }
    let kernelBytes = Self.kernel(input, kind: shape & 3)

    var kernel = BootFile(kernelBytes, name: "kernel fuzz")
    if shape & 0x10 != 0 {
      kernelFile.set(kernelBytes, byteCount: kernelBytes.count)
      kernel = try BootFile(path: kernelFile.path, role: "kernel")
    }
    var initrd: BootFile?
    if let count = initrdByteCount {
      initrdFile.set([1, 2, 3], byteCount: count)
      initrd = try BootFile(path: initrdFile.path, role: "initrd")
    }
    let plan = try LinuxBootPlan(
      kernel: kernel, initrd: initrd, commandLine: commandLine, layout: layout, acpi: acpi)
    check(plan, layout, initrd, acpi?.range)
    guard memoryByteCount <= Self.maximumLoadByteCount,
      UInt64(initrdByteCount ?? 0) <= Self.maximumLoadByteCount >> 5
    else { return }
    if shape & 0x20 != 0 {
      // Somebody cuts the file after it was looked at.
      kernelFile.set([], byteCount: kernelBytes.count / 2)
    }
    let guest = guest(layout)
    try plan.load(into: guest)
    guard let loaded = try? guest.read(at: GPA(0x2_0000), byteCount: commandLine.utf8.count + 1)
    else { fatalError("a command line outside RAM") }
    require(loaded == Array(commandLine.utf8) + [0], "the command line changed")
  }

  // MARK: What is given

  private static func kernel(_ input: FuzzInput, kind: UInt8) -> [UInt8] {
    var bytes = kind < 2 ? KernelTemplates.bzImage : KernelTemplates.elf
    let fields = kind < 2 ? KernelTemplates.bzImageFields : KernelTemplates.elfFields
    guard kind != 1 else { return input.rest }
    while !input.isEmpty {
      let choice = input.byte
      if choice == 0xFF {
        bytes.removeLast(min(bytes.count, Int(input.uint16) % 0x300))
        break
      }
      bytes.set(fields[Int(choice) % fields.count], input.anyMagnitude)
    }
    return bytes
  }

  /// None, none at all, a few bytes, or up to 4 GiB.
  private static func initrdByteCount(_ input: FuzzInput) -> Int? {
    let choice = input.byte
    switch choice & 3 {
    case 0: return nil
    case 1: return 3 + Int(choice >> 2)
    default: return Int(max(3, input.uint32))
    }
  }

  private static func range(_ start: UInt64, _ byteCount: UInt64) -> Range<UInt64>? {
    let (end, overflow) = start.addingReportingOverflow(byteCount)
    return overflow ? nil : start..<end
  }

  private func guest(_ layout: GuestMemoryLayout) -> GuestMemory {
    if let guest = guests[layout.ramByteCount] { return guest }
    do {
      let guest = try GuestMemory(layout: layout)
      guests[layout.ramByteCount] = guest
      return guest
    } catch {
      fatalError("\(error)")
    }
  }

  // MARK: What must be so

  /// All that the plan places lies in low RAM, apart from each other and from what the plan itself
  /// writes below 1 MiB.
  private func check(
    _ plan: LinuxBootPlan, _ layout: GuestMemoryLayout, _ initrd: BootFile?,
    _ acpi: Range<UInt64>?
  ) {
    let low = 0x10_0000..<min(layout.ramByteCount, GuestMemoryLayout.lowEnd.rawValue)
    var placed: [Range<UInt64>]
    switch plan.image {
    case .bzImage: placed = [plan.kernelAddresses]
    case .pvh(let image):
      placed = image.segments.map(\.addresses)
      require(image.segments.allSatisfy { $0.fileByteCount <= $0.addresses.count }, "a segment")
    }
    require(placed.contains { $0.contains(plan.entry.rawValue) }, "entry \(plan.entry)")
    if let initrd, let place = plan.initrdAddresses {
      require(place.count == initrd.byteCount, "an initrd at \(place)")
      require(place.lowerBound % 4096 == 0, "an initrd at \(place)")
      placed.append(place)
    }
    require((plan.initrdAddresses == nil) == (initrd == nil), "an initrd more or less")
    for (index, range) in placed.enumerated() {
      require(
        range.lowerBound >= low.lowerBound && range.upperBound <= low.upperBound,
        "\(range) is not in \(low)")
      require(!placed[..<index].contains { $0.overlaps(range) }, "\(range) overlaps another")
      require(!(acpi?.overlaps(range) ?? false), "\(range) overlaps the ACPI tables")
    }
    for (lower, upper) in zip(plan.memoryMap.entries, plan.memoryMap.entries.dropFirst()) {
      require(lower.end <= upper.start, "a memory map that overlaps")
    }
  }
}
