import Foundation

/// The host's pool of 2 MiB pages, enlarged for the time of a test.
///
/// There is one pool, so one test of this process has it at a time; the others wait in `init`. A
/// test that has it may not make a second one, nor suspend.
package struct HugePagePool: ~Copyable {
  private static let path = "/proc/sys/vm/nr_hugepages"
  private static let turn = DispatchSemaphore(value: 1)
  private let before: Int

  /// Whether this process may enlarge the pool, and there is memory for it.
  package static let isAvailable: Bool = {
    guard let pool = try? HugePagePool(adding: 8) else { return false }
    _ = consume pool
    return true
  }()

  package struct Unavailable: Error {}

  package init(adding pageCount: Int) throws {
    Self.turn.wait()
    let total = Self.count("HugePages_Total")
    let free = Self.count("HugePages_Free") - Self.count("HugePages_Rsvd")
    let wanted = total + max(0, pageCount - free)
    guard Self.set(wanted), Self.count("HugePages_Total") >= wanted else {
      _ = Self.set(total)
      Self.turn.signal()
      throw Unavailable()
    }
    before = total
  }

  deinit {
    _ = Self.set(before)
    Self.turn.signal()
  }

  /// A number of /proc/meminfo.
  package static func count(_ name: String) -> Int {
    let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") }
    return line.flatMap { Int($0.split(separator: " ")[1]) } ?? 0
  }

  private static func set(_ count: Int) -> Bool {
    guard let file = FileHandle(forWritingAtPath: path) else { return false }
    return (try? file.write(contentsOf: Data("\(count)".utf8))) != nil
  }
}
