import Floors
import HyperVCore
import KVM
import ZeroTracker

/// Where the time of a real answer goes: a VM whose dirty log is on from the slot's creation, with
/// manual protect, and 16,384 pages that its guest wrote.
///
/// Cases: sparse memory of 64 GiB and of 1 TiB. Each repetition makes a VM of its own.
struct StepsBenchmark {
  let repetitions: Int
  let byteCounts: [Int]

  private static let writtenPageCount = 16384

  func run() throws {
    take_large_buffers_fresh()
    print("## steps of an answer, on /dev/kvm\n")
    print("\(Host.description)\n\(repetitions) repetitions, each with a new VM\n")
    for byteCount in byteCounts { try measure(byteCount: byteCount) }
  }

  private func measure(byteCount: Int) throws {
    let memory = try HostPages(byteCount: byteCount, kind: .sparse)
    var steps = AnswerSteps()
    for _ in 0..<repetitions { try addRepetition(memory, to: &steps) }
    print("\(steps.writtenPages) pages in the log\n")
    try steps.report(as: Section("0x8002 in steps, \(binaryUnits(byteCount)) sparse"))
  }

  private func addRepetition(_ memory: HostPages, to steps: inout AnswerSteps) throws {
    var guest = try WriterGuest(memory: memory, options: .logsDirtyPages)
    steps.registration.add(contentsOf: guest.registration)
    let stride = max(4096, memory.byteCount / Self.writtenPageCount)
    _ = try guest.store(stride: stride)

    let region = PageRange(
      start: GPN(containing: guest.slot.guestPhysicalAddress), pageCount: guest.slot.pageCount)
    let source = LoggedPages(machine: guest.machine, slot: guest.slot)
    let tracker = try ZeroTracker(regions: [region])
    tracker.attach(source: source)
    // As loading leaves it.
    tracker.markTouched(PageRange(start: region.start, pageCount: 2048))

    let clock = ContinuousClock()
    let start = clock.now
    let ranges = tracker.zeroedRanges(replyPage: region.start)
    steps.add(answer: start.duration(to: clock.now), source.times)
    guard !ranges.isEmpty else { throw BenchmarkError("nothing was reported") }
    let bytes = steps.encode.measure {
      BootZeroedMemoryReply(
        ranges.map { BootZeroedRange(startPage: $0.start.rawValue, pageCount: $0.pageCount) }
      ).encode()
    }
    precondition(bytes.count == BootZeroedMemoryReply.byteCount)

    var words = [UInt64](repeating: 0, count: (Int(region.pageCount) + 63) / 64)
    var span = words.mutableSpan
    let (machine, slot) = (guest.machine, guest.slot)
    try steps.getAgain.measure { () throws(KVMError) in
      try machine.readDirtyLog(of: slot, into: &span)
    }
    steps.writtenPages = words.reduce(0) { $0 + $1.nonzeroBitCount }

    try steps.stop.measure { try tracker.stop() }
    steps.turningOff.add(source.times.turningOff)
  }
}
