internal import DeviceKit
internal import Devices
internal import Synchronization

/// The ports and pages of a whole run that no device claimed: `--trace-io`.
///
/// Each once for all lives of the guest, with all its accesses, and no more lines than a person
/// reads: a guest that resets in a loop is reported once.
final class UnclaimedReport: Sendable {
  /// Lines for ports, and as many for pages.
  static let lineLimit = 500
  /// Ports and pages that are counted apart; those found later only count as accesses.
  static let entryLimit = 8192

  private struct Port: Hashable {
    let number: UInt16
    let isWrite: Bool
  }

  private struct Totals {
    var ports: [Port: UInt64] = [:]
    var pages: [UInt64: UnclaimedPage] = [:]
    /// Accesses that are in neither.
    var otherCount: UInt64 = 0
  }

  private let totals = Mutex(Totals())

  /// Adds what one life's guest used.
  func add(_ accesses: [UnclaimedAccess], _ pages: [UnclaimedPage], unlistedAccessCount: UInt64) {
    totals.withLock { totals in
      for access in accesses {
        let port = Port(number: access.port, isWrite: access.isWrite)
        guard totals.ports[port] != nil || totals.ports.count < Self.entryLimit else {
          totals.otherCount &+= access.count
          continue
        }
        totals.ports[port, default: 0] &+= access.count
      }
      for page in pages {
        if let known = totals.pages[page.address] {
          totals.pages[page.address] = known + page
        } else if totals.pages.count < Self.entryLimit {
          totals.pages[page.address] = page
        } else {
          totals.otherCount &+= page.accessCount
        }
      }
      totals.otherCount &+= unlistedAccessCount
    }
  }

  /// The most used ports and pages, each ascending; then, if those are not all, a line that says
  /// what was left out.
  var lines: [String] {
    let totals = totals.withLock { $0 }
    let ports = Self.mostUsed(
      totals.ports.map { UnclaimedAccess(port: $0.number, isWrite: $0.isWrite, count: $1) },
      by: \.count, order: { ($0.port, $0.isWrite ? 1 : 0) < ($1.port, $1.isWrite ? 1 : 0) })
    let pages = Self.mostUsed(
      Array(totals.pages.values), by: \.accessCount, order: { $0.address < $1.address })
    var lines = ports.kept.map(\.description) + pages.kept.map(\.description)
    let accessCount = totals.otherCount + ports.leftOutCount + pages.leftOutCount
    if accessCount > 0 {
      let portCount = UInt64(totals.ports.count - ports.kept.count)
      let pageCount = UInt64(totals.pages.count - pages.kept.count)
      lines.append(
        "left out: \(DecimalText.counted(portCount, "port")) and"
          + " \(DecimalText.counted(pageCount, "page")) used less,"
          + " \(DecimalText.grouped(accessCount)) accesses in all")
    }
    return lines
  }

  private static func mostUsed<Entry>(
    _ entries: [Entry], by count: KeyPath<Entry, UInt64>, order: (Entry, Entry) -> Bool
  ) -> (kept: [Entry], leftOutCount: UInt64) {
    // In order first, so that of those used alike the lowest are kept.
    let byUse = entries.sorted(by: order).enumerated().sorted {
      ($1.element[keyPath: count], $0.offset) < ($0.element[keyPath: count], $1.offset)
    }.map(\.element)
    let kept = byUse.prefix(lineLimit).sorted(by: order)
    return (kept, byUse.dropFirst(lineLimit).reduce(0) { $0 &+ $1[keyPath: count] })
  }
}

extension UnclaimedPage {
  fileprivate var accessCount: UInt64 { readCount &+ writeCount }

  fileprivate static func + (left: UnclaimedPage, right: UnclaimedPage) -> UnclaimedPage {
    UnclaimedPage(
      address: left.address, readCount: left.readCount &+ right.readCount,
      writeCount: left.writeCount &+ right.writeCount)
  }
}
