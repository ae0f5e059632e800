internal import HyperVCore
internal import VMM

extension HypercallRecord {
  init(_ event: HypercallEvent) {
    let code = event.request.input.callCode
    self.init(
      vcpuID: Int(event.vcpuID), code: code.rawValue, name: code.description,
      input: event.request.input.rawValue, status: event.outcome.result.status.rawValue,
      ranges: event.outcome.reportedRanges.map { ranges in
        ranges.map { ReportedRange(startPage: $0.startPage, pageCount: $0.pageCount) }
      },
      capabilities: event.outcome.capabilities?.rawValue)
  }
}
