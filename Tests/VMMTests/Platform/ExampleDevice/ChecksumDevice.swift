import DeviceKit
import GuestMemory
import HostSystem

/// A PCI device as CONTRIBUTING.md has it: it adds up bytes of guest RAM.
///
/// A guest writes an address and a byte count and starts it; a thread of the device reads the
/// bytes, puts their sum into memory that the guest sees without exits, and interrupts by MSI-X.
final class ChecksumDevice: PCIFunction {
  /// Registers, 32 bits each but the address; behind them the vector.
  enum Register {
    static let address: UInt64 = 0x00
    static let byteCount: UInt64 = 0x08
    /// Written: begins. Read: 0 while it works, `done`, or `failed`.
    static let status: UInt64 = 0x0C
  }
  static let done: UInt32 = 1
  /// The bytes are not RAM, or the guest took *Bus Master* back.
  static let failed: UInt32 = 2
  static let registers = PCIBAR(index: 0, byteCount: 0x1000)
  static let vectorTable: UInt32 = 0x800
  static let results = PCIBAR(index: 1, byteCount: 0x1_0000, isPrefetchable: true)
  /// So that no guest keeps the thread busy for long.
  private static let maximumByteCount: UInt32 = 1 << 20

  let endpoint: PCIEndpoint

  private struct State {
    var address: UInt64 = 0
    var byteCount: UInt32 = 0
    var status: UInt32 = 0
  }

  private let results: DeviceMemory
  private let state = Guarded(State())
  private let work = WorkList(count: 1)
  private let threads: DeviceThreads

  init(_ context: PCIContext) throws(DeviceError) {
    do throws(GuestMemoryError) {
      results = try DeviceMemory(byteCount: Int(Self.results.byteCount))
    } catch {
      throw .unavailable(
        what: "no memory for a device's results", cure: error.description)
    }
    var space = PCIConfigurationSpace(
      identity: PCIIdentity(vendor: 0x1234, device: 0xADD0, classCode: 0xFF_0000), interruptPin: 1)
    space.addBAR(Self.registers)
    space.addBAR(Self.results, memory: results, logsWrites: true)
    space.addMSIX(
      vectorCount: 1, bar: Self.registers, tableOffset: Self.vectorTable, pendingOffset: 0xC00)
    space.addPowerManagement()
    space.addExpressEndpoint()
    endpoint = PCIEndpoint(space, context: context)
    threads = DeviceThreads(work, onStart: context.onThreadStart)
  }

  // MARK: Life

  func start() throws(DeviceError) {
    try threads.start(count: 1, kind: "checksum") { [self] in
      while work.next() != nil { add() }
    }
  }

  func stop() {
    threads.stop()
  }

  func functionLevelReset() {
    state.withLock { $0 = State() }
    configuration.endFunctionReset()
  }

  func reset() {
    state.withLock { $0 = State() }
    endpoint.reset()
  }

  // MARK: Registers

  func readBAR(_ index: Int, offset: UInt64, width: Int) -> UInt64 {
    state.withLock { state in
      switch offset {
      case Register.address: state.address
      case Register.byteCount: UInt64(state.byteCount)
      case Register.status: UInt64(state.status)
      default: 0
      }
    }
  }

  func writeBAR(_ index: Int, offset: UInt64, width: Int, value: UInt64) {
    state.withLock { state in
      switch offset {
      case Register.address: state.address = value
      case Register.byteCount: state.byteCount = UInt32(truncatingIfNeeded: value)
      case Register.status:
        state.status = 0
        work.add(0)
      default: break
      }
    }
  }

  // MARK: The thread

  private func add() {
    let (address, byteCount) = state.withLock { ($0.address, $0.byteCount) }
    let sum = sum(address, byteCount)
    if let sum {
      results.write((0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) }, at: 0)
    }
    state.withLock { $0.status = sum == nil ? Self.failed : Self.done }
    endpoint.signal(0)
  }

  private func sum(_ address: UInt64, _ byteCount: UInt32) -> UInt32? {
    guard byteCount <= Self.maximumByteCount, let memory = endpoint.memory,
      let bytes = try? memory.read(at: GPA(address), byteCount: Int(byteCount))
    else { return nil }
    return bytes.reduce(0) { $0 &+ UInt32($1) }
  }
}
