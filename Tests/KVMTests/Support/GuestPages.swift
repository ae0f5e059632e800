import Glibc

/// Anonymous pages of this process, unmapped when the owner goes.
@safe final class GuestPages: @unchecked Sendable {
  // Sendable: the pointer never changes, and what it points to is shared with the guest anyway.
  private let start: UnsafeMutableRawPointer
  let byteCount: Int

  init(pageCount: Int) {
    byteCount = pageCount * 4096
    let mapping = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
      fatalError("mmap of \(pageCount) pages: errno \(errno)")
    }
    unsafe start = mapping
  }

  deinit {
    unsafe munmap(start, byteCount)
  }

  var address: UInt { unsafe UInt(bitPattern: start) }

  func store(_ bytes: [UInt8], at offset: Int) {
    precondition(offset >= 0 && offset + bytes.count <= byteCount)
    // SAFETY: inside the mapping, as just checked.
    unsafe (start + offset).copyMemory(from: bytes, byteCount: bytes.count)
  }

  func loadByte(at offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < byteCount)
    // SAFETY: inside the mapping, as just checked.
    return unsafe start.load(fromByteOffset: offset, as: UInt8.self)
  }
}
