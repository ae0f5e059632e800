/// All that a snapshot knows of one page: why it was withheld, or what is odd about its report.
public struct PageHistory: Hashable, Sendable {
  /// The page asked about.
  public let page: GPN
  /// Whether it is RAM; if not, nothing below means anything.
  public let isMemory: Bool
  /// In a range of the last answer.
  public let isReported: Bool
  /// Whether guest writes were known when the snapshot was taken.
  public let knowsGuestWrites: Bool
  /// Written by the guest, as far as known.
  public let isWritten: Bool
  /// The chunk of the touched map that has the page, cut at the end of its region.
  public let chunk: PageRange
  /// Whether the VMM wrote or claimed in the chunk.
  public let isTouched: Bool
  /// Whether the chunk is withheld for good.
  public let isClaimed: Bool
  /// Claims in the chunk, as far as remembered, oldest first.
  public let claimOwners: [String]
  /// Pages of the chunk the guest wrote, as far as known.
  public let chunkWrittenPageCount: UInt64
}

extension PageHistory: CustomStringConvertible {
  /// One line, such as
  /// `page 0x31: reported, not written by the guest; its chunk 0x30..<0x40: not touched, …`.
  public var description: String {
    guard isMemory else { return "page \(page): not memory" }
    let answer = isReported ? "reported" : "not reported"
    let writes =
      isWritten
      ? "written by the guest"
      : knowsGuestWrites ? "not written by the guest" : "guest writes not known"
    let count = "\(chunkWrittenPageCount) of \(chunk.pageCount) pages written by the guest"
    let owners =
      claimOwners.isEmpty ? "an owner not remembered" : claimOwners.joined(separator: ", ")
    let touch =
      isClaimed
      ? "claimed by \(owners)" : isTouched ? "touched by the VMM" : "not touched by the VMM"
    return "page \(page): \(answer), \(writes); "
      + "its chunk \(chunk): \(touch), \(knowsGuestWrites ? "" : "at least ")\(count)"
  }
}

extension ZeroTrackerSnapshot {
  /// Everything known of one page, reported or not; any page is accepted.
  public func whyWithheld(_ page: GPN) -> PageHistory {
    guard let part = parts.first(where: { $0.range.contains(page) }) else {
      return PageHistory(
        page: page, isMemory: false, isReported: false, knowsGuestWrites: isComplete,
        isWritten: false, chunk: PageRange(start: page, pageCount: 0), isTouched: false,
        isClaimed: false, claimOwners: [], chunkWrittenPageCount: 0)
    }
    let chunk = part.chunk(of: page)
    let counts = counts(in: PageRange(start: page, pageCount: 1))
    var owners: [String] = []
    for claim in claims
    where !claim.range.intersection(chunk).isEmpty && !owners.contains(claim.owner) {
      owners.append(claim.owner)
    }
    return PageHistory(
      page: page, isMemory: true, isReported: counts.reported > 0, knowsGuestWrites: isComplete,
      isWritten: counts.written > 0, chunk: chunk, isTouched: counts.touched > 0,
      isClaimed: counts.claimed > 0, claimOwners: owners,
      chunkWrittenPageCount: self.counts(in: chunk).written)
  }
}
