public import DeviceKit
internal import Devices
public import GuestMemory
public import HostSystem
public import HyperVCore
public import MachineSpecification
public import ZeroTracker

/// Everything that decides what a machine is. A value; building the machine checks it.
public struct MachineConfiguration: Sendable {
  /// RAM in bytes, whole pages of the backing.
  public var memoryByteCount: UInt64
  /// How much can be added while the machine runs, in bytes, a multiple of 128 MiB: by
  /// `Machine.addMemory`, or by Dynamic Memory. Above all RAM, no RAM before it is added, and named
  /// by no table. A machine with such memory is neither saved nor moved.
  public var growthByteCount: UInt64 = 0
  /// One of `GuestSpec.vcpuCounts` of the image's kind of machine.
  public var vcpuCount: Int
  /// What the host backs RAM with.
  public var backing: MemoryBacking
  /// Gives all RAM host memory before the guest starts; it is zero and still reportable.
  public var isPreallocated = false
  /// Told again and again how much of that has been done, on the thread that makes the machine.
  public var onPreallocation:
    @Sendable (_ doneByteCount: UInt64, _ totalByteCount: UInt64) -> Void = { _, _ in }
  /// Asks for 2 MiB pages where the host gives them on request only; no effect on `hugetlb`.
  public var usesTransparentHugePages = false
  /// Memory per bit of the VMM's own writes: what one byte of them withholds.
  public var granularity = TrackingGranularity.default
  /// What tracks the guest's writes; nil for what costs least here,
  /// `WrittenPageSourceKind.automatic(isPreallocated:)`.
  public var writtenPageSource: WrittenPageSourceKind?
  /// When tracking ends.
  public var trackingPolicy = TrackingPolicy.default
  /// How much of the chunks that the VMM wrote in part is looked into before an answer.
  public var refinement = GuestMemory.RefinementBudget.default
  /// How much is done at each answer to 0x8002 to give the host what is zero in sparsely used huge
  /// pages (`HugePageTrimmer`), on the vCPU's thread that asked; nil for nothing. Of memory that is
  /// anonymous, not preallocated, and not write-protected.
  public var trimAtAnswer: HugePageTrimmer.Budget?
  /// Whether `Machine.trim` can be called, where the host and the memory allow it.
  public var allowsTrimming = false
  /// Checks before each answer that every page in it is zero; a page that is not ends the run.
  public var verifiesZeroedMemory = false
  /// Whose interface the guest finds.
  public var paravirtualization = Paravirtualization.hyperV
  /// Where Hyper-V's interface is implemented, if the guest finds that.
  public var hyperV = HyperVSelection.automatic
  /// What the guest is offered of the interface.
  public var enlightenments = EnlightenmentSelection.recommended
  /// What of the interface is a value.
  public var hyperVParameters = HyperVParameters()
  /// Whether the guest finds VMX or SVM. Windows that does starts its own hypervisor, on top of
  /// this one.
  public var offersNesting = false
  /// Whether 0x8002 is offered; applies to default and explicit sets alike.
  public var offersZeroedMemory = true
  /// Which hints of the guest about memory that it does not need are taken; applies to default and
  /// explicit sets alike. None are where memory is preallocated or comes from hugetlbfs.
  public var memoryHints = MemoryHints.discard
  /// What is started.
  public var image: GuestImage
  /// The PC's devices; a flat program has none of them.
  public var computer = PersonalComputerConfiguration()
  /// Whether a crash that the guest reports ends the run; if not, it goes on, and may reset itself.
  public var endsOnCrash = true
  /// How long a guest that has reported a crash may go on, for its last words, unless it resets or
  /// halts before: at least 1.
  public var secondsAfterCrash = 5
  /// What each thread that the machine makes does before anything else, such as to enter a sandbox.
  public var onThreadStart: @Sendable (ThreadRole) -> Void = { _ in }
  /// What the machine goes on from, in place of its image's start; nil for one that starts. For one
  /// machine: a reset starts it.
  public var restoration: MachineRestoration?
  /// Port devices besides.
  public var portDevices: [(PortRange, any BusDevice)] = []
  /// Memory-mapped devices besides; RAM hides what lies in it.
  public var memoryDevices: [(MMIORange, any BusDevice)] = []

  /// A machine for a flat program, with defaults for everything else.
  public init(program: [UInt8], memoryByteCount: UInt64, vcpuCount: Int = 1) {
    self.init(.program(program), memoryByteCount: memoryByteCount, vcpuCount: vcpuCount)
  }

  /// A machine with defaults for everything else: anonymous memory, tracked, no devices
  /// besides those of its kind.
  public init(_ image: GuestImage, memoryByteCount: UInt64, vcpuCount: Int = 1) {
    self.image = image
    self.memoryByteCount = memoryByteCount
    self.vcpuCount = vcpuCount
    backing = .anonymous
  }

  /// Whether the machine is a PC, and not just vCPUs and memory for a flat program.
  var isPersonalComputer: Bool {
    switch image {
    case .program: false
    case .linux, .firmware: true
    }
  }

  /// Whether it is a PC with VMBus.
  var hasVMBus: Bool { isPersonalComputer && computer.hasVMBus }

  /// How many vCPUs the image's kind of machine can have.
  var vcpuCounts: ClosedRange<Int> {
    isPersonalComputer ? GuestSpec.computerVCPUCounts : GuestSpec.programVCPUCounts
  }

  /// Whether the machine has interrupt controllers in the kernel: a PC has, and a flat program if
  /// the kernel's SynIC is to deliver through its local APIC.
  func needsInterruptControllers(for enlightenments: Enlightenments) -> Bool {
    isPersonalComputer || enlightenments.contains(.syntheticInterrupts)
  }

  /// - Throws: `.configuration` if memory cannot grow as it is backed.
  func checkGrowth() throws(MachineError) {
    guard growthByteCount > 0 else { return }
    guard !isPreallocated, backing != .hugetlb else {
      throw .configuration(
        "memory that grows is allocated when it is used: it cannot be preallocated, or come from "
          + "hugetlbfs")
    }
  }

  /// - Throws: `.configuration` if nothing of memory as it is backed can be given back at answers.
  func checkTrimming() throws(MachineError) {
    guard trimAtAnswer != nil, let obstacle = trimObstacle else { return }
    throw .configuration("zero pages of huge pages cannot be given back at an answer \(obstacle)")
  }

  /// Whether there is to be a trimmer, if the host can.
  var wantsTrimmer: Bool {
    (trimAtAnswer != nil || allowsTrimming) && trimObstacle == nil
  }

  /// What of this configuration keeps zero pages of huge pages from being given back.
  private var trimObstacle: String? {
    if isPreallocated || backing != .anonymous {
      return "from memory that is preallocated, or not anonymous"
    }
    return trackedSource == .writeProtect
      ? "together with write protection, which a split may lose: each would be withheld" : nil
  }

  /// Whether the guest is offered 0x8002: without tracking there would be nothing to answer.
  var reportsZeroedMemory: Bool {
    offersZeroedMemory && trackingPolicy != .never
  }

  /// Whether the guest is offered 0x8003.
  var takesMemoryHints: Bool {
    memoryHints != .none && !isPreallocated && backing != .hugetlb
  }

  /// What tracks the guest's writes; nil if nothing does.
  var trackedSource: WrittenPageSourceKind? {
    trackingPolicy == .never
      ? nil : writtenPageSource ?? .automatic(isPreallocated: isPreallocated)
  }
}
