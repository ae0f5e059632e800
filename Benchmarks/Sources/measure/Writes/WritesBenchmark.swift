import KVM

/// What tracking costs a guest that writes: while the dirty log is on, and after it is off.
///
/// Cases: preallocated memory in 4 KiB pages and in transparent huge pages; the log never on, on, turned
/// off before the guest's first write, turned off after it wrote every page. Measured in the host between
/// two port exits: the first store to each page, one more store to each page, stores to all bytes. Each
/// repetition makes a VM of its own; the cases take turns.
struct WritesBenchmark {
  let repetitions: Int
  let byteCount: Int

  private static let repeatedPasses = 4

  private struct Result {
    var first = Samples()
    var again = Samples()
    var fill = Samples()
    var turningOff = Samples()
  }

  func run() throws {
    print("## writes: a guest that writes \(binaryUnits(byteCount)), on /dev/kvm\n")
    print(
      "\(Host.description)\n\(repetitions) repetitions, each with a new VM; "
        + "median (best); times of the floor: ratio of the medians (of the bests)\n")
    try measure(.small, "4 KiB pages, preallocated")
    try measure(.huge, "transparent huge pages, preallocated")
  }

  private func measure(_ kind: HostPages.Kind, _ name: String) throws {
    let memory = try HostPages(byteCount: byteCount, kind: kind)
    let states = TrackedState.allCases
    var results = states.map { _ in Result() }
    for _ in 0..<repetitions {
      for (index, state) in states.enumerated() {
        try addRepetition(state, memory, to: &results[index])
      }
    }
    print("\(name)\n")
    var table = Table([
      "", "first store, ns/page", "x floor", "again, ns/page", "x floor", "all bytes, GB/s",
      "x floor",
      "turning off, ms",
    ])
    for (state, result) in zip(states, results) { table.add(row(state, result, results[0])) }
    table.print()
  }

  private func addRepetition(
    _ state: TrackedState, _ memory: HostPages, to result: inout Result
  ) throws {
    var guest = try WriterGuest(memory: memory, options: state.options)
    if state == .offAfter { _ = try guest.store(stride: 4096) }
    if state == .offBefore || state == .offAfter {
      let (machine, slot) = (guest.machine, guest.slot)
      try result.turningOff.measure { () throws(KVMError) in
        try machine.setMemorySlot(slot, options: [])
      }
    }
    result.first.add(try guest.store(stride: 4096))
    for _ in 0..<Self.repeatedPasses { result.again.add(try guest.store(stride: 4096)) }
    result.fill.add(try guest.store(stride: 8))
    result.fill.add(try guest.store(stride: 8))
  }

  private func row(_ state: TrackedState, _ result: Result, _ floor: Result) -> [String] {
    [state.name]
      + [perPage(result.first), ratio(result.first, floor.first)]
      + [perPage(result.again), ratio(result.again, floor.again)]
      + [rate(result.fill), ratio(result.fill, floor.fill)]
      + [result.turningOff.count == 0 ? "" : result.turningOff.median.milliseconds]
  }

  private func perPage(_ samples: Samples) -> String {
    let scale = 1e9 / Double(byteCount / 4096)
    return "\((samples.median * scale).fixed(1)) (\((samples.best * scale).fixed(1)))"
  }

  private func rate(_ samples: Samples) -> String {
    let gigabytes = Double(byteCount) / 1e9
    return "\((gigabytes / samples.median).fixed(1)) (\((gigabytes / samples.best).fixed(1)))"
  }

  private func ratio(_ samples: Samples, _ floor: Samples) -> String {
    let median = (samples.median / floor.median).fixed(2)
    return "\(median) (\((samples.best / floor.best).fixed(2)))"
  }
}
