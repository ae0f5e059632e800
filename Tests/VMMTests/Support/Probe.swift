import Devices
import Glibc
import GuestMemory
import GuestPrograms
import HyperVCore
import KVM
import MachineSpecification
import Synchronization
import Testing
import VMM

/// One step of the probe guest: what it does, and what came of it. See `probe.S`.
struct ProbeStep {
  var operation: UInt64
  var a0: UInt64 = 0
  var a1: UInt64 = 0
  var a2: UInt64 = 0
  var extra: UInt64 = 0
  /// RAX or the value read; all ones after a fault.
  var result: UInt64 = 0
  /// The exception's vector, nil if there was none.
  var fault: UInt64?

  static func hypercall(_ input: UInt64, in inputAddress: UInt64 = 0, out: UInt64) -> ProbeStep {
    ProbeStep(operation: 1, a0: input, a1: inputAddress, a2: out)
  }
  static func writeMSR(_ index: UInt64, _ value: UInt64) -> ProbeStep {
    ProbeStep(operation: 2, a0: index, a1: value)
  }
  static func readMSR(_ index: UInt64) -> ProbeStep {
    ProbeStep(operation: 3, a0: index)
  }
  static func cpuid(_ leaf: UInt64) -> ProbeStep {
    ProbeStep(operation: 4, a0: leaf)
  }
  static func hypercall32(_ input: UInt64, out: UInt64) -> ProbeStep {
    ProbeStep(operation: 5, a0: input, a1: 0, a2: out)
  }
  static func store(_ value: UInt64, at address: UInt64) -> ProbeStep {
    ProbeStep(operation: 6, a0: address, a1: value)
  }
  /// The hypercall page's port, written from outside the page.
  static func foreignHypercall(_ input: UInt64, out: UInt64) -> ProbeStep {
    ProbeStep(operation: 9, a0: input, a1: 0, a2: out)
  }
  static func ringThreeHypercall(_ input: UInt64, out: UInt64) -> ProbeStep {
    ProbeStep(operation: 10, a0: input, a1: 0, a2: out)
  }
}

extension ProbeStep {
  static func writePort(_ port: UInt64, _ value: UInt64) -> ProbeStep {
    ProbeStep(operation: 11, a0: port, a1: value)
  }
  static func store(_ value: UInt64, at address: UInt64, count: UInt64, stride: UInt64) -> ProbeStep
  {
    ProbeStep(operation: 12, a0: address, a1: value, a2: count, extra: stride)
  }
  static func load(at address: UInt64, count: UInt64, stride: UInt64) -> ProbeStep {
    ProbeStep(operation: 13, a0: address, a2: count, extra: stride)
  }
}

/// A machine with the probe guest, and where things are in it.
struct Probe {
  static let memoryByteCount: UInt64 = 64 << 20
  static let pagePointer = GPA(0x7FF8)
  static let script = GPA(0x8000)
  /// From the script's start to the page tables.
  static let maximumStepCount = 0x8000 / 64
  static let hypercallPage: UInt64 = 0x70_0000
  static let reply: UInt64 = 0x60_0000

  /// GUEST_OS_ID, then HYPERCALL with the page above.
  static let introduction: [ProbeStep] = [
    .writeMSR(0x4000_0000, 0x8100 << 48), .writeMSR(0x4000_0001, hypercallPage | 1),
  ]

  let machine: Machine
  let steps: [ProbeStep]
  let outcome: MachineOutcome
  /// In the order of the calls.
  let events: [HypercallEvent]

  /// Runs `steps` on a machine with this transport.
  init(
    _ steps: [ProbeStep], transport: HyperVTransport,
    configure: (inout MachineConfiguration) -> Void = { _ in },
    prepare: (GuestMemory) throws -> Void = { _ in },
    onMade: (Machine) -> Void = { _ in },
    onHypercall: @escaping @Sendable (HypercallEvent) -> Void = { _ in }
  ) throws {
    precondition(steps.count < Self.maximumStepCount, "\(steps.count) steps")
    let control = MachineControl()
    let image = unsafe [UInt8](
      UnsafeBufferPointer(start: guest_probe_bytes(), count: guest_probe_byte_count()))
    var configuration = MachineConfiguration.confined(
      program: image, memoryByteCount: Self.memoryByteCount)
    configuration.hyperV = transport == .kernel ? .kernel : .userspace
    if transport == .none { configuration.paravirtualization = .kvm }
    configuration.portDevices = [
      (ExitPort.ports, ExitPort { control.end(with: .exited(status: $0)) })
    ]
    configure(&configuration)
    let log = Mutex<[HypercallEvent]>([])
    let machine = try Machine(configuration, control: control) { event in
      log.withLock { $0.append(event) }
      onHypercall(event)
    }
    try machine.memory.store(Self.hypercallPage, at: Self.pagePointer)
    for (index, step) in (steps + [ProbeStep(operation: 0)]).enumerated() {
      let words = [step.operation, step.a0, step.a1, step.a2, 0, 0, step.extra]
      for (word, value) in words.enumerated() {
        try machine.memory.store(value, at: Self.address(step: index, word: word))
      }
    }
    try prepare(machine.memory)
    onMade(machine)
    self.machine = machine
    outcome = machine.run()
    self.steps = try steps.indices.map { index in
      var step = steps[index]
      step.result = try machine.memory.load(at: Self.address(step: index, word: 4))
      let fault: UInt64 = try machine.memory.load(at: Self.address(step: index, word: 5))
      step.fault = fault == 0 ? nil : fault - 1
      return step
    }
    events = log.withLock { $0 }
  }

  private static func address(step: Int, word: Int) -> GPA {
    GPA(script.rawValue + UInt64(step * 64 + word * 8))
  }

  /// The reply of a 0x8002 at `address`.
  func bootZeroedReply(at address: UInt64 = Probe.reply) throws -> [BootZeroedRange] {
    let bytes = try machine.memory.read(
      at: GPA(address), byteCount: BootZeroedMemoryReply.byteCount)
    return try unsafe BootZeroedMemoryReply(decoding: bytes.span.bytes).ranges
  }

  /// Reported pages of which a byte is not zero, read on the host.
  func nonZeroPages(in ranges: [BootZeroedRange]) throws -> [UInt64] {
    // 2 MiB at a time: page by page a debug build takes minutes in the rig.
    let step: UInt64 = 512
    let zero = [UInt8](repeating: 0, count: Int(step) * 4096)
    var found: [UInt64] = []
    for range in ranges {
      let end = range.startPage + range.pageCount
      for start in stride(from: range.startPage, to: end, by: Int(step)) {
        let pages = start..<min(start + step, end)
        guard !isZero(pages, zero) else { continue }
        found += pages.filter { !isZero($0..<($0 + 1), zero) }
      }
    }
    return found
  }

  /// - Returns: false of pages that are not all RAM of one region, too.
  private func isZero(_ pages: Range<UInt64>, _ zero: [UInt8]) -> Bool {
    let byteCount = pages.count * 4096
    let address = GPA(pages.lowerBound << 12)
    let isZero = machine.memory.withBytes(at: address, byteCount: byteCount) { bytes in
      unsafe bytes.withUnsafeBytes { bytes in
        unsafe zero.withUnsafeBytes {
          // SAFETY: both have so many bytes.
          unsafe memcmp(bytes.baseAddress!, $0.baseAddress!, byteCount) == 0
        }
      }
    }
    return isZero == true
  }
}

/// What this host can run.
enum Host {
  static let hasKVM = (try? KVMSystem()) != nil
  static let hasKernelTransport: Bool = {
    guard let system = try? KVMSystem() else { return false }
    return HyperVTransport.kernelObstacle(on: system) == nil
  }()
  /// The transports that work here; a test runs once for each.
  static let transports: [HyperVTransport] =
    hasKernelTransport ? [.userspace, .kernel] : hasKVM ? [.userspace] : []
  /// The sources of written pages that work here.
  static let sources = WrittenPageSourceKind.allCases.filter { $0.obstacle == nil }
}

extension MachineOutcome {
  /// The program's exit status, nil for every other end.
  var exitStatus: UInt32? {
    if case .exited(let status) = self { status } else { nil }
  }
}
