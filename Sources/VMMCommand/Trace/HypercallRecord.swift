internal import Bytes
internal import HyperVCore
internal import MachineSpecification
internal import VMM

/// One hypercall, as the trace shows it.
struct HypercallRecord: Equatable, Sendable {
  var vcpuID: Int
  /// Bits 15–0 of the input value, also where no call has that code.
  var code: UInt16
  /// The specification's name of the call, or a word for an unknown one.
  var name: String
  /// The whole hypercall input value.
  var input: UInt64
  /// Bits 15–0 of the result value.
  var status: UInt16
  /// What a successful 0x8002 reported.
  var ranges: [ReportedRange]?
  /// What a successful 0x8001 answered.
  var capabilities: UInt64?
  /// What a call with input had, in words: its header, then its list.
  var words: [UInt64]?
  /// How many elements of the list are done; nil for a call without one.
  var repsCompleted: Int?

  /// One line of JSON with its line break. Composed by hand: an encoder per hypercall would cost
  /// more than the hypercall.
  func line(nanosecondsSinceStart: UInt64) -> String {
    let fraction = String(nanosecondsSinceStart % 1_000_000_000)
    let time =
      "\(nanosecondsSinceStart / 1_000_000_000)."
      + String(repeating: "0", count: 9 - fraction.count) + fraction
    var line = "{\"time\":\(time),\"vcpu\":\(vcpuID),\"code\":\"0x\(Self.hex(code))\""
    line += ",\"name\":\(JSONText.quoted(name)),\"input\":\"0x\(Self.hex(input))\""
    line += ",\"status\":\(status)"
    if let capabilities { line += ",\"capabilities\":\(capabilities)" }
    if let ranges {
      let items = ranges.map {
        "{\"startPage\":\($0.startPage),\"pageCount\":\($0.pageCount)}"
      }
      line += ",\"ranges\":[\(items.joined(separator: ","))]"
    }
    if let repsCompleted { line += ",\"repsCompleted\":\(repsCompleted)" }
    if let words {
      line += ",\"words\":[\(words.map { "\"0x\(Self.hex($0))\"" }.joined(separator: ","))]"
    }
    return line + "}\n"
  }

  /// All digits of the type, so that columns of a trace line up.
  private static func hex<Number: FixedWidthInteger & UnsignedInteger>(_ number: Number) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: Number.bitWidth / 4 - digits.count) + digits
  }
}

extension HypercallRecord {
  init(_ event: HypercallEvent) {
    let code = event.request.input.callCode
    self.init(
      vcpuID: Int(event.vcpuID), code: code.rawValue, name: code.description,
      input: event.request.input.rawValue, status: event.outcome.result.status.rawValue,
      ranges: event.outcome.reportedRanges.map { ranges in
        ranges.map { ReportedRange(startPage: $0.startPage, pageCount: $0.pageCount) }
      },
      capabilities: event.outcome.capabilities?.rawValue,
      words: Self.words(event.outcome.input),
      repsCompleted: event.request.input.repCount == 0 ? nil : event.outcome.result.repsCompleted)
  }

  /// Input as the guest put it there: nobody has to believe what was made of it.
  private static func words(_ bytes: [UInt8]) -> [UInt64]? {
    guard !bytes.isEmpty else { return nil }
    return (0..<(bytes.count / 8)).map { bytes.loadLE(at: $0 * 8) }
  }
}
