internal import Glibc
internal import HostSystem

/// How short of memory the host is, as its kernel says (PSI, Documentation/accounting/psi.rst): of
/// the control group of this process where that has it, as its limit is what counts, else of all.
///
/// Opened before the sandbox closes; read by any thread.
final class HostPressure: Sendable {
  static let path = "/proc/pressure/memory"

  private let file: FileDescriptor

  /// Nil where the kernel has no such file, or has it off.
  init?() {
    for path in [Self.pathOfGroup(), Self.path].compactMap(\.self) {
      guard let file = Self.open(path), Self.text(of: file).flatMap(Self.perMille) != nil else {
        continue
      }
      self.file = file
      return
    }
    return nil
  }

  /// Per mille of the last ten seconds in which some process waited for memory; nil if it cannot be
  /// read.
  var perMille: UInt64? { Self.text(of: file).flatMap(Self.perMille) }

  private static func open(_ path: String) -> FileDescriptor? {
    // SAFETY: the path is a C string for the time of the call.
    try? FileDescriptor { unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC) }
  }

  /// What a short file of the kernel says now; nil if it says nothing.
  private static func text(of file: borrowing FileDescriptor) -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    // SAFETY: the kernel writes at most bytes.count bytes.
    let count = unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe pread(file.rawValue, bytes.baseAddress, bytes.count, 0)
    }
    return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
  }

  /// From `some avg10=1.23 avg60=…`; nil if that is not there.
  static func perMille(_ text: String) -> UInt64? {
    let words = text.split(separator: "\n").first?.split(separator: " ") ?? []
    guard words.first == "some", let word = words.first(where: { $0.hasPrefix("avg10=") }) else {
      return nil
    }
    let parts = word.dropFirst("avg10=".count)
      .split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let whole = UInt64(parts[0]), whole <= 100,
      let tenth = parts[1].first?.wholeNumberValue
    else { return nil }
    return whole * 10 + UInt64(tenth)
  }

  /// *memory.pressure* of the group that /proc/self/cgroup names for version 2.
  private static func pathOfGroup() -> String? {
    guard let file = open("/proc/self/cgroup"), let text = text(of: file),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })
    else { return nil }
    return "/sys/fs/cgroup" + line.dropFirst(3) + "/memory.pressure"
  }
}
