internal import Glibc
internal import HostSystem

/// What a page without an entry in the page tables means: that depends on what is mapped.
enum MappingKind: Sendable {
  /// Private memory of no file: it holds zeros.
  case anonymous
  /// hugetlbfs, whose pages the kernel never takes away: a hole was punched.
  case hugetlb
  /// A shared memory file: a hole was punched, or the page is in the file still, because it was
  /// swapped out or MADV_DONTNEED took it out of the page tables only.
  case file

  /// The kind of all of `range`, from /proc/self/maps (proc_pid_maps(5)).
  ///
  /// - Parameter hasHugetlb: what registering the range returned. One mapping of hugetlbfs in the
  ///   range suffices for it to be true, so it counts only when the range is of one file.
  init(of range: HostRange, hasHugetlb: Bool) throws(HostPagesError) {
    let files = try Self.files(of: range)
    if files.allSatisfy({ $0.hasSuffix(" 0") }) {
      self = .anonymous
    } else if hasHugetlb && files.count == 1 {
      self = .hugetlb
    } else {
      self = .file
    }
  }

  /// Device and inode of every mapping that has a page of `range`, each once; inode 0 for no file.
  private static func files(of range: HostRange) throws(HostPagesError) -> Set<String> {
    var files: Set<String> = []
    for line in try contents().split(separator: "\n") {
      // start-end permissions offset device inode name
      let fields = line.split(separator: " ", maxSplits: 5)
      guard fields.count >= 5 else { continue }
      let ends = fields[0].split(separator: "-")
      guard ends.count == 2, let start = UInt(ends[0], radix: 16),
        let end = UInt(ends[1], radix: 16)
      else { continue }
      if start < range.end && range.start < end { files.insert("\(fields[3]) \(fields[4])") }
    }
    guard !files.isEmpty else { throw .invalidRange(range, reason: "nothing is mapped there") }
    return files
  }

  private static func contents() throws(HostPagesError) -> String {
    let path = "/proc/self/maps"
    // SAFETY: the path is a C string for the time of the call.
    let rawDescriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    let openError = errno
    guard rawDescriptor >= 0 else {
      throw .call(operation: "open \(path)", errno: openError, cure: "mount /proc")
    }
    let descriptor = FileDescriptor(taking: rawDescriptor)
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      // SAFETY: the kernel writes at most buffer.count bytes.
      let count = unsafe buffer.withUnsafeMutableBytes { bytes in
        unsafe read(descriptor.rawValue, bytes.baseAddress, bytes.count)
      }
      let readError = errno
      if count == 0 { return String(decoding: text, as: UTF8.self) }
      if count > 0 {
        text += buffer[..<count]
      } else if readError != EINTR {
        throw .call(operation: "read \(path)", errno: readError, cure: nil)
      }
    }
  }
}
