internal import Glibc
internal import HostSystem

/// Reads /proc/self/smaps (proc_pid_smaps(5)).
enum ProcessMaps {
  private static let path = "/proc/self/smaps"

  /// The sum of the `Rss:` lines of the mappings that lie in one of `ranges`.
  static func residentByteCount(of ranges: [Range<UInt>]) throws(GuestMemoryError) -> UInt64 {
    let text = try contents()
    var total: UInt64 = 0
    var isInside = false
    var lineStart = text.startIndex
    while lineStart < text.endIndex {
      let lineEnd = text[lineStart...].firstIndex(of: UInt8(ascii: "\n")) ?? text.endIndex
      let line = text[lineStart..<lineEnd]
      if let mapping = mappingRange(line) {
        isInside = ranges.contains {
          $0.lowerBound <= mapping.lowerBound && mapping.upperBound <= $0.upperBound
        }
      } else if isInside, line.starts(with: "Rss:".utf8) {
        let digits = line.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        // Always in units of 1024 bytes, "kB".
        total += (UInt64(String(decoding: digits, as: UTF8.self)) ?? 0) * 1024
      }
      lineStart = lineEnd < text.endIndex ? lineEnd + 1 : lineEnd
    }
    return total
  }

  /// The addresses of a line such as `7f00a000-7f00b000 rw-p …`; nil for the fields that follow it.
  private static func mappingRange(_ line: ArraySlice<UInt8>) -> Range<UInt>? {
    guard let space = line.firstIndex(of: UInt8(ascii: " ")),
      let dash = line[..<space].firstIndex(of: UInt8(ascii: "-")),
      let start = UInt(String(decoding: line[..<dash], as: UTF8.self), radix: 16),
      let end = UInt(String(decoding: line[(dash + 1)..<space], as: UTF8.self), radix: 16),
      start < end
    else { return nil }
    return start..<end
  }

  private static func open() throws(GuestMemoryError) -> FileDescriptor {
    do throws(Errno) {
      // SAFETY: the path is a C string for the time of the call.
      return try FileDescriptor { unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC) }
    } catch {
      throw .residency(operation: "open \(path)", errno: error.rawValue)
    }
  }

  private static func contents() throws(GuestMemoryError) -> [UInt8] {
    let file = try open()
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      // SAFETY: the kernel writes at most buffer.count bytes.
      let count = unsafe buffer.withUnsafeMutableBytes { bytes in
        unsafe read(file.rawValue, bytes.baseAddress, bytes.count)
      }
      let readError = errno
      if count == 0 { return text }
      if count > 0 {
        text += buffer[..<count]
      } else if readError != EINTR {
        throw .residency(operation: "read \(path)", errno: readError)
      }
    }
  }
}
