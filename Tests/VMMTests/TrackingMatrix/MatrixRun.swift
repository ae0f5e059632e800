import DeviceKit
import Devices
import Foundation
import GuestMemory
import HyperVCore
import MachineSpecification
import Synchronization
import VMM
import ZeroTracker

/// Runs one machine of the matrix with all its writers, and compares what is said with what is.
final class MatrixRun: Sendable {
  private static let port: UInt16 = 0xD0
  private static let pattern: UInt64 = 0x5AC1_BB1E_5AC1_BB1E
  /// The hypercall page is KVM's own write on the kernel transport, so it lies in that area.
  private static let hypercallPage = MatrixWriter.kvm.block.address
  private static let referenceTSCPage = hypercallPage + 0x1000
  private static let kvmclock = hypercallPage + 0x2000

  private enum Signal: UInt32 {
    case deviceDMA = 1
    case everythingIsWritten = 2
  }

  private struct State: Sendable {
    var memory: GuestMemory?
    var witnesses: HostWitnesses?
    var unrefined: [PageRange] = []
    var failure: String?
  }

  private let machine: MatrixMachine
  private let state = Mutex(State())

  init(_ machine: MatrixMachine) {
    self.machine = machine
  }

  func cells() throws -> [MatrixCell] {
    let transport = Host.transports.last!
    let probe = try Probe(steps, transport: transport) { [self] in
      configure(&$0)
    } prepare: { [self] in
      try prepare($0)
    }
    let state = state.withLock { $0 }
    if let failure = state.failure { throw MatrixFailure(failure) }
    guard probe.outcome.exitStatus == 0, let witnesses = state.witnesses else {
      throw MatrixFailure("the guest ended by \(probe.outcome)")
    }
    guard probe.steps.last?.result == 0, let last = probe.events.last?.outcome.reportedRanges else {
      throw MatrixFailure("0x8002 failed: \(probe.steps)")
    }
    let answer = last.map {
      PageRange(start: GPN(rawValue: $0.startPage), pageCount: $0.pageCount)
    }
    return try MatrixWriter.allCases.map {
      try cell(
        $0, probe, transport, answer: flags(answer),
        unrefined: flags(state.unrefined), witnesses)
    }
  }

  private var steps: [ProbeStep] {
    let store = MatrixWriter.guestStore
    let read = MatrixWriter.guestRead
    return [
      .writeMSR(0x4000_0000, 0x8100 << 48), .writeMSR(0x4000_0001, Self.hypercallPage | 1),
      .writeMSR(0x4000_0021, Self.referenceTSCPage | 1),
      // MSR_KVM_SYSTEM_TIME_NEW: KVM writes the clock when the vCPU next enters the guest.
      .writeMSR(0x4B56_4D01, Self.kvmclock | 1),
      .store(Self.pattern, at: store.block.address, count: store.block.pageCount, stride: 4096),
      .store(
        Self.pattern, at: store.scattered.address, count: store.scattered.count,
        stride: store.scattered.stride),
      // A store of zero is a write, though the page stays zero.
      .store(0, at: store.start + (1 << 20), count: 4, stride: 4096),
      .load(at: read.block.address, count: read.block.pageCount, stride: 4096),
      .load(
        at: read.scattered.address, count: read.scattered.count, stride: read.scattered.stride),
      .writePort(UInt64(Self.port), UInt64(Signal.deviceDMA.rawValue)),
      .writePort(UInt64(Self.port), UInt64(Signal.everythingIsWritten.rawValue)),
      // Brings back what was swapped out.
      .load(at: store.block.address, count: store.block.pageCount, stride: 4096),
      .hypercall(0x8002, out: Probe.reply),
    ]
  }

  private func configure(_ configuration: inout MachineConfiguration) {
    configuration.memoryByteCount = MatrixWriter.memoryByteCount
    configuration.backing = MemoryBacking(name: machine.backing)!
    configuration.usesTransparentHugePages = machine.usesTransparentHugePages
    configuration.isPreallocated = machine.isPreallocated
    configuration.writtenPageSource = WrittenPageSourceKind(rawValue: machine.source)
    configuration.granularity = try! TrackingGranularity(byteCount: machine.granularityBytes)
    // No filters: `signal` swaps memory out and reads pagemap on the vCPU's thread.
    configuration.onThreadStart = { _ in }
    configuration.portDevices.append(
      (PortRange(start: Self.port, count: 1), SignalPort { [self] in signal($0) }))
  }

  /// What is written before the guest starts.
  private func prepare(_ memory: GuestMemory) throws {
    state.withLock { $0.memory = memory }
    try memory.store(Self.hypercallPage, at: Probe.pagePointer)
    for address in MatrixWriter.vmmStore.writtenAddresses {
      try memory.store(Self.pattern, at: GPA(address + 8))
    }
    let file = try PatternFile()
    for address in MatrixWriter.readFile.writtenAddresses {
      try memory.readFile(
        descriptor: file.descriptor, fileOffset: 0, byteCount: 512, at: GPA(address + 512))
    }
    let foreign = MatrixWriter.foreignWrite
    // The dirty log does not see such a writer; write protection does.
    if machine.source == WrittenPageSourceKind.dirtyLog.rawValue {
      for address in foreign.writtenAddresses {
        _ = try memory.claim(at: GPA(address), byteCount: 4096, owner: "the matrix")
      }
    }
    for address in foreign.writtenAddresses {
      try file.read(into: memory.mappedRegions[0].hostAddress + UInt(address), byteCount: 64)
    }
  }

  private func signal(_ value: UInt32) {
    guard let memory = state.withLock({ $0.memory }) else { return }
    do {
      switch Signal(rawValue: value) {
      case .deviceDMA:
        for address in MatrixWriter.deviceDMA.writtenAddresses {
          try memory.write([1, 2, 3], at: GPA(address + 4093))
        }
      case .everythingIsWritten:
        if machine.isSwappedOut { try MatrixHost.swapOut(memory) }
        let witnesses = try HostWitnesses(memory)
        let unrefined = memory.tracker.zeroedRanges(replyPage: nil, limit: .max)
        state.withLock {
          $0.witnesses = witnesses
          $0.unrefined = unrefined
        }
      case nil: break
      }
    } catch {
      state.withLock { $0.failure = "\(error)" }
    }
  }

  private func flags(_ ranges: [PageRange]) -> [Bool] {
    var flags = [Bool](repeating: false, count: Int(MatrixWriter.memoryByteCount / 4096))
    for range in ranges {
      for page in range.start.rawValue..<range.end.rawValue { flags[Int(page)] = true }
    }
    return flags
  }

  private func cell(
    _ writer: MatrixWriter, _ probe: Probe, _ transport: HyperVTransport, answer: [Bool],
    unrefined: [Bool], _ witnesses: HostWitnesses
  ) throws -> MatrixCell {
    let first = Int(writer.start / 4096)
    let pages = first..<first + Int(MatrixWriter.areaByteCount / 4096)
    // The truth: every byte is read, whatever that brings in.
    let area = BootZeroedRange(startPage: UInt64(first), pageCount: UInt64(pages.count))
    let isNonZero = Set(try probe.nonZeroPages(in: [area]).map { Int($0) })
    func share(_ flags: [Bool]) -> MatrixShare {
      var share = MatrixShare()
      for page in pages where flags[page] {
        if isNonZero.contains(page) { share.falsePages += 1 } else { share.zeroPages += 1 }
      }
      return share
    }
    return MatrixCell(
      kvm: transport.rawValue, machine: machine, writer: writer,
      zeroPages: pages.count - isNonZero.count, nonZeroPages: isNonZero.count,
      answer: share(answer), unrefined: share(unrefined), mincore: share(witnesses.mincore),
      pagemap: share(witnesses.pagemap), seekData: witnesses.seekData.map { share($0) })
  }
}

/// A file full of bytes that are not zero.
private final class PatternFile {
  let descriptor: Int32
  private let handle: FileHandle

  init() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "pattern-\(UUID())").path
    try Data(repeating: 0xA5, count: 4096).write(to: URL(filePath: path))
    handle = try FileHandle(forReadingFrom: URL(filePath: path))
    try FileManager.default.removeItem(atPath: path)
    descriptor = handle.fileDescriptor
  }

  func read(into address: UInt, byteCount: Int) throws {
    // SAFETY: the caller gives an address with that many bytes.
    let result = unsafe pread(
      descriptor, UnsafeMutableRawPointer(bitPattern: address), byteCount, 0)
    guard result == byteCount else { throw MatrixFailure("pread: errno \(errno)") }
  }
}
