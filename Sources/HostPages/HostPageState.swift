internal import CKVM
internal import Glibc

/// Questions about pages that ask nothing of a userfaultfd.
package enum HostPageState {
  /// Whether every page of `range` is mapped.
  static func isMapped(_ range: HostRange) -> Bool {
    // SAFETY: no memory is accessed. MS_ASYNC does nothing (msync(2)), but after the kernel has
    // looked for holes: it answers ENOMEM to one.
    unsafe msync(UnsafeMutableRawPointer(bitPattern: range.start), range.byteCount, MS_ASYNC) == 0
  }

  /// Whether a page may be in swap: there is some, or the kernel does not say.
  package static var hasSwap: Bool {
    var information = sysinfo()
    // SAFETY: the kernel fills the struct.
    let result = unsafe ckvm_sysinfo(&information)
    return result != 0 || information.totalswap > 0
  }

  /// One byte per page of `addresses`, bit 0 set if it is in the page cache (mincore(2)); as long
  /// as `buffer` at most. All are set when this process is not allowed to know.
  ///
  /// - Throws: `registrationLost`, naming `range`, if some of it is not mapped any longer.
  package static func residency(
    _ addresses: Range<UInt>, of range: HostRange, into buffer: inout [UInt8]
  ) throws(HostPagesError) -> Int {
    let pageByteCount = Int(HostRange.pageByteCount)
    let pageCount = min(addresses.count / pageByteCount, buffer.count)
    // SAFETY: the kernel reads no memory of the range, and writes one byte per page of it.
    let result = unsafe buffer.withUnsafeMutableBufferPointer { bytes in
      unsafe mincore(
        UnsafeMutableRawPointer(bitPattern: addresses.lowerBound), pageCount * pageByteCount,
        bytes.baseAddress)
    }
    let error = errno
    guard result == 0 else {
      if error == ENOMEM { throw .registrationLost(range) }
      throw .call(
        operation: "mincore 0x\(String(addresses.lowerBound, radix: 16)), "
          + "\(pageCount * pageByteCount) bytes", errno: error, cure: nil)
    }
    return pageCount
  }
}

/// One bit per page, page 0 in bit 0 of word 0.
package enum PageBits {
  /// Sets the bits of `pages`, a word at a time.
  package static func set(_ pages: Range<Int>, in words: inout MutableSpan<UInt64>) {
    guard let last = pages.last else { return }
    let firstWord = pages.lowerBound / 64
    let lastWord = last / 64
    let firstMask = ~UInt64(0) << UInt64(pages.lowerBound % 64)
    let lastMask = ~UInt64(0) >> UInt64(63 - last % 64)
    if firstWord == lastWord {
      words[firstWord] |= firstMask & lastMask
      return
    }
    words[firstWord] |= firstMask
    for index in firstWord + 1..<lastWord {
      words[index] = ~0
    }
    words[lastWord] |= lastMask
  }
}
