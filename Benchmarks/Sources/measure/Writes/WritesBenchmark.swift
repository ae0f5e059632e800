import HostPages
import KVM

/// What tracking costs a guest that writes: while it is on, and after it ended.
///
/// Cases: preallocated memory in 4 KiB pages and in transparent huge pages; no tracking, KVM's
/// dirty log, and write protection of the host's mapping: on throughout, ended before the guest's
/// first write, ended after it wrote every page. Measured in the host between two port exits: the
/// first store to each page, one more store to each page, stores to all bytes. Each repetition
/// makes a VM of its own; the cases take turns.
struct WritesBenchmark {
  let repetitions: Int
  let byteCount: Int

  private static let repeatedPasses = 4

  private struct Result {
    var first = Samples()
    var again = Samples()
    var fill = Samples()
    var ending = Samples()
  }

  func run() throws {
    print("## writes: a guest that writes \(binaryUnits(byteCount)), on /dev/kvm\n")
    print("\(Host.description)\n\(repetitions) repetitions, each with a new VM\n")
    if let obstacle = WriteProtection.obstacle() { print("\(obstacle)\n") }
    try measure(.small, "4 KiB pages, preallocated")
    try measure(.huge, "transparent huge pages, preallocated")
  }

  private func measure(_ kind: HostPages.Kind, _ name: String) throws {
    let states = TrackedState.possible
    var results = states.map { _ in Result() }
    for _ in 0..<repetitions {
      for (index, state) in states.enumerated() {
        // Fresh: write protection leaves no huge pages behind.
        let memory = try HostPages(byteCount: byteCount, kind: kind)
        try addRepetition(state, memory, to: &results[index])
      }
    }
    var section = Section("guest writes, \(name)")
    func add(_ name: String, _ samples: Samples, _ floor: Samples) {
      let pageCount = byteCount / 4096
      section.add(
        Figure(
          name: name, unit: "ns/page", samples: samples.nanoseconds(per: pageCount),
          floor: ("not tracked", floor.nanoseconds(per: pageCount))))
    }
    for (state, result) in zip(states, results) {
      add("\(state.name): first store", result.first, results[0].first)
      add("\(state.name): again", result.again, results[0].again)
      add("\(state.name): all bytes", result.fill, results[0].fill)
      guard state.ends else { continue }
      section.add(
        Figure(
          name: "\(state.name): ending", unit: "ms", samples: result.ending.scaled(by: 1e3)))
    }
    try section.finish()
  }

  private func addRepetition(
    _ state: TrackedState, _ memory: HostPages, to result: inout Result
  ) throws {
    var guest = try WriterGuest(memory: memory, options: state.options)
    let protection =
      state.protects
      ? try WriteProtection([HostRange(start: memory.address, byteCount: memory.byteCount)]) : nil
    try protection?.arm()
    if state.writesFirst { _ = try guest.store(stride: 4096) }
    if state.ends {
      let (machine, slot) = (guest.machine, guest.slot)
      try result.ending.measure {
        if let protection {
          try protection.end()
        } else {
          try machine.setMemorySlot(slot, options: [])
        }
      }
    }
    result.first.add(try guest.store(stride: 4096))
    for _ in 0..<Self.repeatedPasses { result.again.add(try guest.store(stride: 4096)) }
    result.fill.add(try guest.store(stride: 8))
    result.fill.add(try guest.store(stride: 8))
    if state == .protected { try protection?.end() }
  }
}
