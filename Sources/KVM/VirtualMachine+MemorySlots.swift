internal import CKVM

extension VirtualMachine {
  /// Registers a slot, or changes the options of a registered one. Any thread, also while vCPUs
  /// run.
  ///
  /// The caller keeps `[hostAddress, hostAddress + byteCount)` mapped until the VM is gone; the
  /// guest can read and write all of it.
  public func setMemorySlot(
    _ slot: MemorySlot, options: MemorySlot.Options
  ) throws(KVMError) {
    try set(slot, byteCount: slot.byteCount, options: options)
  }

  /// Takes a registered slot away: accesses to its addresses exit as MMIO. Any thread, also while
  /// vCPUs run.
  public func removeMemorySlot(_ slot: MemorySlot) throws(KVMError) {
    try set(slot, byteCount: 0, options: [])
  }

  private func set(
    _ slot: MemorySlot, byteCount: UInt64, options: MemorySlot.Options
  ) throws(KVMError) {
    var region = kvm_userspace_memory_region()
    region.slot = slot.number
    region.flags = options.rawValue
    region.guest_phys_addr = slot.guestPhysicalAddress
    region.memory_size = byteCount
    region.userspace_addr = UInt64(slot.hostAddress)
    try descriptor.call(
      CKVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION \(slot.summary)",
      cure: "slots may not overlap, and must be whole pages")
  }

  /// Makes reading the dirty log leave it as it is, so that it holds every page written since the
  /// slot was made. KVM_DIRTY_LOG_INITIALLY_SET is not asked for: the log must begin empty.
  ///
  /// Call before the first slot is registered. Source: KVM API,
  /// KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.
  ///
  /// - Returns: false where the kernel cannot do that; then each read resets what it returned.
  public func enableManualDirtyLogProtect() throws(KVMError) -> Bool {
    let supported = UInt32(bitPattern: value(of: .manualDirtyLogProtect))
    guard supported & CKVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE != 0 else { return false }
    try enable(
      .manualDirtyLogProtect, argument: UInt64(CKVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE))
    return true
  }

  /// Copies a slot's dirty log: one bit per 4 KiB page, bit 0 of word 0 the slot's first page.
  ///
  /// - Parameter words: exactly one 64-bit word per 64 pages begun.
  public func readDirtyLog(
    of slot: MemorySlot, into words: inout MutableSpan<UInt64>
  ) throws(KVMError) {
    let wordCount = (slot.pageCount + 63) / 64
    guard UInt64(words.count) == wordCount else {
      throw .invalidArgument(
        "dirty log of \(slot.summary): \(words.count) words given, \(wordCount) needed")
    }
    var log = unsafe kvm_dirty_log()
    unsafe log.slot = slot.number
    // SAFETY: the kernel writes one bit per page of the slot, rounded up to 64: `words` has
    // exactly that length, and the pointer does not leave the closure.
    try unsafe words.withUnsafeMutableBytes { (bytes) throws(KVMError) in
      guard let base = bytes.baseAddress else { return }
      unsafe log.dirty_bitmap = base
      try unsafe descriptor.call(
        CKVM_GET_DIRTY_LOG, &log, "KVM_GET_DIRTY_LOG \(slot.summary)",
        cure: "is logging on for this slot?")
    }
  }

  /// Sets in `words` the bits of a slot's dirty log; bits that are set stay, also those above the
  /// last page.
  ///
  /// The kernel overwrites. Where there is nothing to keep the log goes straight to its place: a
  /// buffer of 32 MiB per TiB in between costs several times the system call.
  ///
  /// - Parameter words: as for `readDirtyLog(of:into:)`. After an error they may have bits more.
  public func addDirtyLog(
    of slot: MemorySlot, to words: inout MutableSpan<UInt64>
  ) throws(KVMError) {
    let used = slot.pageCount % 64
    let above = used == 0 || words.isEmpty ? 0 : words[words.count - 1] & UInt64.max << used
    if Self.isZero(words, but: above) {
      try readDirtyLog(of: slot, into: &words)
      if above != 0 { words[words.count - 1] |= above }
      return
    }
    var log = [UInt64](repeating: 0, count: words.count)
    var span = log.mutableSpan
    try readDirtyLog(of: slot, into: &span)
    for index in words.indices { words[index] |= span[index] }
  }

  /// Whether the last word is `last`, and all others are 0.
  private static func isZero(
    _ words: borrowing MutableSpan<UInt64>, but last: UInt64
  ) -> Bool {
    guard let end = words.indices.last else { return true }
    for index in 0..<end where words[index] != 0 { return false }
    return words[end] == last
  }

  /// Forgets the dirty bits of whole words of pages; later guest writes set them again.
  ///
  /// Needs manual protect. Source: KVM API, KVM_CLEAR_DIRTY_LOG.
  ///
  /// - Parameters:
  ///   - firstPage: offset in the slot, in 4 KiB pages; a multiple of 64.
  ///   - pageCount: a multiple of 64, or up to the slot's end.
  public func clearDirtyLog(
    of slot: MemorySlot, firstPage: UInt64, pageCount: UInt32
  ) throws(KVMError) {
    var words = [UInt64](repeating: ~0, count: (Int(pageCount) + 63) / 64)
    try clear(&words, of: slot, firstPage: firstPage, pageCount: pageCount)
  }

  /// Forgets the dirty bits that are set in `words`: those that were read, so that what the guest
  /// wrote since is not lost.
  ///
  /// Needs manual protect. Source: KVM API, KVM_CLEAR_DIRTY_LOG.
  ///
  /// - Parameter words: as for `readDirtyLog(of:into:)`.
  public func clearDirtyLog(of slot: MemorySlot, words: [UInt64]) throws(KVMError) {
    guard UInt64(words.count) == (slot.pageCount + 63) / 64,
      let pageCount = UInt32(exactly: slot.pageCount)
    else {
      throw .invalidArgument("dirty log of \(slot.summary): \(words.count) words given")
    }
    var words = words
    try clear(&words, of: slot, firstPage: 0, pageCount: pageCount)
  }

  private func clear(
    _ words: inout [UInt64], of slot: MemorySlot, firstPage: UInt64, pageCount: UInt32
  ) throws(KVMError) {
    var request = unsafe kvm_clear_dirty_log()
    unsafe request.slot = slot.number
    unsafe request.first_page = firstPage
    unsafe request.num_pages = pageCount
    // SAFETY: the kernel reads one bit per page named, rounded up to 64: `words` has that length,
    // and the pointer does not leave the closure.
    var span = words.mutableSpan
    try unsafe span.withUnsafeMutableBytes { (bytes) throws(KVMError) in
      guard let base = bytes.baseAddress else { return }
      unsafe request.dirty_bitmap = base
      try unsafe descriptor.call(
        CKVM_CLEAR_DIRTY_LOG, &request,
        "KVM_CLEAR_DIRTY_LOG \(slot.summary), pages \(firstPage)+\(pageCount)",
        cure: "page numbers go by 64, and manual protect must be on")
    }
  }
}
