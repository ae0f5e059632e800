import Synchronization
import ZeroTracker

// What the example of README.md leaves to the embedder: RAM, and the kernel's dirty log.

/// 256 pages of RAM from GPA 0. In a real VMM this is the mapping given to KVM.
final class RAM: Sendable {
  static let pages: UInt64 = 256

  private let bytes = Mutex([UInt8](repeating: 0, count: Int(pages) * GPN.byteCount))

  func store(_ source: borrowing RawSpan, at address: UInt64) -> Bool {
    let count = source.byteCount
    guard let start = Int(exactly: address), start <= Int(Self.pages) * GPN.byteCount - count
    else { return false }
    var copy: [UInt8] = []
    for index in 0..<count {
      // SAFETY: index < byteCount, and every bit pattern is a UInt8.
      copy.append(unsafe source.unsafeLoad(fromByteOffset: index, as: UInt8.self))
    }
    bytes.withLock { $0.replaceSubrange(start..<(start + count), with: copy) }
    return true
  }

  func load(_ range: Range<Int>) -> [UInt8] {
    bytes.withLock { Array($0[range]) }
  }
}

/// Stands for KVM_GET_DIRTY_LOG: the guest wrote pages 16 and 100.
func kvmDirtyLog(of region: PageRange) throws -> [UInt64] {
  var words = [UInt64](repeating: 0, count: Int(region.pageCount + 63) / 64)
  for page in [16, 100] { words[page / 64] |= 1 << UInt64(page % 64) }
  return words
}
