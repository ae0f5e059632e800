import MachineSpecification
import Testing

@testable import ControlAPI

@Suite struct CountersTests {
  private static let counters: MachineCounters = {
    var counters = MachineCounters()
    counters.version = "0.1.0"
    counters.uptimeSeconds = 1.5
    counters.resets = 2
    counters.exits = [[.init("port_read", 3), .init("other", .max)]]
    counters.memory.ram = 4096
    counters.memory.zero = 0
    counters.memory.available = 12
    counters.balloon = .init(target: 4096, actual: 0, givenBack: 7)
    counters.trim = .init(givenBack: 8192, splitHugePages: 3)
    var disk = MachineCounters.Disk("disk0")
    disk.readBytes = 512
    counters.disks = [disk]
    var card = MachineCounters.Network("nic0")
    card.hasLink = true
    counters.networks = [card]
    var call = MachineCounters.Hypercall("a \"b\" \\ c\n")
    call.count = 9
    counters.hypercalls = [call]
    return counters
  }()

  @Test func metrics() {
    let text = MetricsText(Self.counters).text
    for line in [
      "# HELP vmm_uptime_seconds Time since the run began.", "# TYPE vmm_uptime_seconds gauge",
      "vmm_uptime_seconds 1.5", "vmm_resets_total 2", #"vmm_info{version="0.1.0"} 1"#,
      #"vmm_vcpu_exits_total{vcpu="0",kind="port_read"} 3"#,
      #"vmm_vcpu_exits_total{vcpu="0",kind="other"} 18446744073709551615"#,
      #"vmm_memory_bytes{class="ram"} 4096"#, #"vmm_memory_bytes{class="zero"} 0"#,
      #"vmm_memory_bytes{class="available"} 12"#,
      "vmm_balloon_given_back_bytes_total 7", #"vmm_disk_read_bytes_total{disk="disk0"} 512"#,
      "vmm_trim_given_back_bytes_total 8192", "vmm_trim_split_huge_pages_total 3",
      #"vmm_network_up{nic="nic0"} 1"#, #"vmm_hypercalls_total{call="a \"b\" \\ c\n"} 9"#,
    ] {
      #expect(text.contains(line + "\n"), "\(line)")
    }
    #expect(!text.contains("populated"))
    #expect(text.hasSuffix("\n"))
  }

  /// Every line is one of the format's, each metric is there once, and its samples follow it.
  @Test func metricsAreInTheFormat() {
    var seen: [String] = []
    var current: Substring = ""
    for line in MetricsText(Self.counters).text.split(separator: "\n") {
      let words = line.split(separator: " ")
      if line.hasPrefix("# HELP ") {
        current = words[2]
        #expect(!seen.contains(String(current)))
        seen.append(String(current))
      } else if line.hasPrefix("# TYPE ") {
        #expect(words[2] == current)
        #expect(["counter", "gauge"].contains(words[3]))
      } else {
        #expect(line.hasPrefix(current + " ") || line.hasPrefix(current + "{"))
        #expect(line.split(separator: " ").last.flatMap { Double($0) } != nil)
      }
    }
    #expect(seen == Metric.all.map(\.name))
    for metric in Metric.all {
      #expect(metric.name.hasPrefix("vmm_"))
      #expect(metric.name.hasSuffix("_total") == (metric.kind == .counter), "\(metric.name)")
    }
  }

  @Test func json() throws {
    let value = Self.counters.value
    #expect(try JSONParser.parse(Array(value.compactText.utf8)) == value)
    #expect(value.compactText.contains(#""other":9223372036854775807"#))
    #expect(ControlSchema.counters.problems(of: value) == [])
  }

  @Test func theCheckerFindsProblems() {
    let wrong = JSONValue.members([("fault_message", .integer(1)), ("more", .null)])
    #expect(ControlSchema.fault.problems(of: wrong).count == 2)
    #expect(ControlSchema.fault.problems(of: .members([])).count == 1)
  }
}
