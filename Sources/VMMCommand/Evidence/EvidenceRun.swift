internal import ControlAPI
internal import Devices
internal import FoundationEssentials
internal import Glibc
internal import HostSystem
internal import MachineSpecification

/// One run's evidence, as its files have it. They may have been edited, or cut off: what cannot be
/// read is not there.
struct EvidenceRun {
  struct File: Equatable {
    let name: String
    let byteCount: UInt64
    let summary: String
  }

  /// What was seen of the machine at one time.
  struct Sample: Equatable {
    /// Seconds since the run began.
    var time: Double
    var life: Int64
    var resident: UInt64?
    var written: UInt64
    /// Ticks of all vCPUs, those of host and guest together.
    var ticks: UInt64
  }

  /// More is not read: nobody recorded it.
  private static let maximumByteCount: UInt64 = 1 << 28

  let name: String
  private let path: String
  private let allFiles: [File]
  /// The answers to 0x8002 that succeeded: when, and how many bytes were reported.
  let answers: [(time: Double, byteCount: UInt64)]
  let samples: [Sample]
  /// Nil for a run that has not ended, or was killed.
  let outcome: String?
  let features: String
  let hypercallCount: Int

  init(_ name: String, in path: String) throws {
    self.name = name
    self.path = path
    let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    allFiles = names.compactMap { name in
      let kind = EvidenceFile(rawValue: name)
      guard kind != nil || EvidenceFile.isScreen(name) else { return nil }
      return Self.byteCount(of: "\(path)/\(name)").map {
        File(name: name, byteCount: $0, summary: kind?.summary ?? "what the display showed")
      }
    }
    let calls = Self.lines(of: .hypercalls, in: path)
    hypercallCount = calls.count
    answers = calls.compactMap { call in
      guard case .array(let ranges)? = call["ranges"], let time = call["time"]?.asTime else {
        return nil
      }
      let pages = ranges.reduce(UInt64(0)) { $0 &+ ($1["pageCount"]?.asCount ?? 0) }
      return (time, pages &* 4096)
    }
    samples = Self.lines(of: .samples, in: path).compactMap(Sample.init)
    outcome = Self.value(of: .outcome, in: path)?["outcome"]?.asText
    features = Self.value(of: .about, in: path)?["machine"]?["hyperv_features"]?.asText ?? "unknown"
  }

  /// Processor time of all vCPUs of the last machine, in ticks, as far as it was seen.
  var ticks: UInt64? { lastLife.map(\.ticks).max() }

  /// In the order of their names.
  func files(hasScreens: Bool) -> [File] {
    allFiles.filter { hasScreens || !EvidenceFile.isScreen($0.name) }
  }

  /// The last machine of the run, from its first sample on.
  var lastLife: [Sample] {
    guard let life = samples.last?.life else { return [] }
    return samples.filter { $0.life == life }
  }

  /// What was seen that many seconds after the last machine began; nil if it did not live as long.
  func sample(afterSeconds seconds: Double) -> Sample? {
    guard let begin = lastLife.first?.time else { return nil }
    return lastLife.first { $0.time >= begin + seconds }
  }

  var last: Sample? { lastLife.last }

  private static func lines(of file: EvidenceFile, in path: String) -> [JSONValue] {
    (contents(of: file, in: path) ?? []).split(separator: UInt8(ascii: "\n"))
      .compactMap { try? JSONParser.parse(Array($0)) }
  }

  private static func value(of file: EvidenceFile, in path: String) -> JSONValue? {
    contents(of: file, in: path).flatMap { try? JSONParser.parse($0) }
  }

  private static func contents(of file: EvidenceFile, in path: String) -> [UInt8]? {
    let path = "\(path)/\(file.rawValue)"
    guard let byteCount = byteCount(of: path), byteCount <= maximumByteCount else { return nil }
    return (try? Data(contentsOf: URL(filePath: path))).map { Array($0) }
  }

  /// Nil for what is no file.
  private static func byteCount(of path: String) -> UInt64? {
    var status = stat()
    // SAFETY: the structure lives for the call; the path is lent, terminated.
    let result = unsafe HostPath(argument: path).withCString { unsafe lstat($0, &status) }
    guard result == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return UInt64(max(status.st_size, 0))
  }
}

extension EvidenceRun.Sample {
  fileprivate init?(_ value: JSONValue) {
    guard let time = value["time"]?.asTime, case .integer(let life)? = value["life"],
      let memory = value["memory"]
    else { return nil }
    self.time = time
    self.life = life
    resident = memory["populated_bytes"]?.asCount
    written = memory["written_bytes"]?.asCount ?? 0
    ticks = 0
    if case .array(let vcpus)? = value["vcpu_ticks"] {
      for vcpu in vcpus {
        ticks &+= (vcpu["user"]?.asCount ?? 0) &+ (vcpu["system"]?.asCount ?? 0)
      }
    }
  }
}

extension JSONValue {
  /// Seconds that a run can last, as its files may have any number.
  fileprivate var asTime: Double? {
    let seconds: Double
    switch self {
    case .integer(let integer): seconds = Double(integer)
    case .number(let number): seconds = number
    default: return nil
    }
    return (0...1e9).contains(seconds) ? seconds : nil
  }

  fileprivate var asCount: UInt64? {
    if case .integer(let integer) = self { UInt64(exactly: integer) } else { nil }
  }

  fileprivate var asText: String? {
    if case .text(let text) = self { text } else { nil }
  }
}
