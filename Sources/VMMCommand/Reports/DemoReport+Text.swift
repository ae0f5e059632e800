internal import MachineSpecification

extension DemoReport {
  /// What a run prints on a terminal: the machine, what was reported, what it cost, the verdict.
  var text: String {
    "\(machineText)\n\n\(table.text())\n\(verdict)\n"
  }

  /// The heading, also of a comparison.
  var machineText: String {
    let interface = hyperv == "kernel" ? "the kernel's" : "a \(hyperv)"
    return "A \(ByteCount(memoryBytes)) guest with "
      + DecimalText.counted(UInt64(vcpuCount), "vCPU")
      + ", \(preallocated ? "preallocated " : "")\(backing) memory"
      + " and \(interface) Hyper-V interface,\n"
      + "tracked in blocks of \(ByteCount(granularityBytes)) by \(writtenPageSource)"
  }

  private var table: TextTable {
    var table = TextTable([.left, .right, .right, .left])
    func share(_ byteCount: UInt64) -> String { DecimalText.percent(byteCount, of: memoryBytes) }
    func bytes(_ byteCount: UInt64) -> String { ByteCount(byteCount).description }

    if offersZeroedMemory {
      let ranges = DecimalText.counted(UInt64(reportedRanges.count), "range")
      table.add("reported as zero", bytes(reportedBytes), share(reportedBytes), "in \(ranges)")
    } else {
      table.add("reported as zero", "nothing", "", "the guest was not offered it")
    }
    table.add("zeroed by the guest", bytes(guestZeroedBytes), share(guestZeroedBytes))
    table.add("resident on the host", bytes(residentBytes), share(residentBytes))
    table.add(
      "vCPU time", DecimalText.seconds(vcpuSeconds), "",
      "\(DecimalText.seconds(seconds(vcpuTicks.user))) user, "
        + "\(DecimalText.seconds(seconds(vcpuTicks.system))) system")
    table.add("elapsed", DecimalText.seconds(elapsedSeconds))
    return table
  }

  /// Whether the report was the truth: the one thing that must not be overlooked.
  var verdict: String {
    let reported = DecimalText.grouped(reportedPageCount)
    guard isTruthful else {
      return "FAILED: \(DecimalText.grouped(nonZeroReportedPages)) of the \(reported) pages "
        + "reported as zero are NOT zero.\n"
        + "A guest that believed the report would have used memory with old contents."
    }
    if reportedPageCount == 0 {
      return offersZeroedMemory
        ? "No page was reported as zero, so the guest had to zero all of its memory."
        : "Nothing was reported as zero, so the guest had to zero all of its memory."
    }
    return "Every one of the \(reported) reported pages was read by the guest and is zero."
  }
}
