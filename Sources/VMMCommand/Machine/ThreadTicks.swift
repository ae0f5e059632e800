internal import FoundationEssentials
internal import Glibc

/// Processor time of threads of this process, from `/proc/self/task/TID/stat` (proc(5), fields 14
/// and 15).
enum ThreadTicks {
  /// The sum over `threadIDs`; a thread that is gone counts nothing.
  static func sum(of threadIDs: [Int32]) -> DemoReport.VCPUTicks {
    var total = DemoReport.VCPUTicks(user: 0, system: 0)
    for threadID in threadIDs {
      guard let data = try? Data(contentsOf: URL(filePath: "/proc/self/task/\(threadID)/stat"))
      else { continue }
      let ticks = parse(String(decoding: data, as: UTF8.self))
      total.user += ticks?.user ?? 0
      total.system += ticks?.system ?? 0
    }
    return total
  }

  /// How many ticks make a second.
  static var perSecond: UInt64 {
    UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
  }

  static func parse(_ line: String) -> DemoReport.VCPUTicks? {
    // The name, field 2, may hold spaces and parentheses: count from the last one on.
    guard let nameEnd = line.lastIndex(of: ")") else { return nil }
    let fields = line[line.index(after: nameEnd)...].split(separator: " ")
    guard fields.count > 12, let user = UInt64(fields[11]), let system = UInt64(fields[12]) else {
      return nil
    }
    return DemoReport.VCPUTicks(user: user, system: system)
  }
}
