internal import CKVM
internal import Synchronization

/// Asynchronous write protection of memory of this process: the kernel notes each page whose first
/// write it lets through.
///
/// It sees all writers that go through this process's page tables alike: the guest (KVM), this
/// process, and the kernel on their behalf (read(2), process_vm_writev, vhost). A store of what is
/// there already is a write. It is userfaultfd(2) with *UFFD_FEATURE_WP_ASYNC*, read with
/// PAGEMAP_SCAN; Linux 6.7.
///
/// **Rights.** None: any user may open a userfaultfd with *UFFD_USER_MODE_ONLY*, and kernel-mode
/// writers are seen with it all the same. `vm.unprivileged_userfaultfd` and CAP_SYS_PTRACE do not
/// matter. A seccomp filter may refuse the system call; then /dev/userfaultfd is tried. A process
/// that is not dumpable (prctl(2), PR_SET_DUMPABLE) and not root cannot open its own
/// /proc/PID/pagemap.
///
/// **Not seen.** Writes before `arm`; DMA and io_uring through pages pinned before it; writes
/// through another mapping of a shared file, in this process or another (vhost-user), or to its
/// descriptor. A range that was unmapped, mapped anew and registered once more by someone else
/// looks intact.
///
/// **Freed memory.** After MADV_DONTNEED (private memory) or MADV_REMOVE (shared files, hugetlbfs)
/// a page holds zeros and reads as not written; a later write is noted. A later read may be taken
/// for a write, and with transparent huge pages a later write marks the whole huge page it
/// allocates. Two exceptions err to written: a hole in a shared memory file, while the host has
/// swap, since the kernel does not say which pages are there; and pages of such a file that
/// MADV_DONTNEED only took out of the page tables. With hugetlbfs that last state looks like a
/// hole: do not use MADV_DONTNEED on shared huge pages.
///
/// **Cost.** Protecting memory that is not populated installs a marker per page: 2 KiB of page
/// tables per MiB, and from then on faults there give 4 KiB pages, no transparent huge pages. A
/// populated transparent huge page is split by the first write to it. hugetlbfs notes whole huge
/// pages.
///
/// Thread-safe: any method from any thread, while the memory is written to. A page written during
/// `readWrittenPages` may or may not be in its answer; it is in the next.
public final class WriteProtection: Sendable {
  private struct Registration: Sendable {
    let range: HostRange
    let kind: MappingKind
    /// Whether it is protected by `protect`, from its start on.
    let isLater: Bool

    /// Whether it can be read by this range.
    func has(_ other: HostRange) -> Bool {
      range == other
        || isLater && other.start == range.start && other.byteCount > 0
          && other.byteCount <= range.byteCount
    }
  }

  private enum State {
    static let registered: UInt8 = 0
    static let armed: UInt8 = 1
    static let ended: UInt8 = 2
  }

  private let userfaultfd: Userfaultfd
  private let pagemap: Pagemap
  private let registrations: [Registration]
  /// A `State`. Relaxed: the kernel orders what happens to the ranges, this only words the errors.
  private let state = Atomic<UInt8>(State.registered)

  /// Registers the ranges with a userfaultfd; nothing is protected yet.
  ///
  /// - Parameters:
  ///   - ranges: mapped memory of this process: anonymous, memfd, or hugetlbfs in whole huge pages.
  ///     It must not be registered with another userfaultfd.
  ///   - later: more of it, which `arm` leaves alone: memory that nobody uses yet, to be protected
  ///     by `protect`.
  /// - Throws: `invalidRange`; `missingFeatures` or `call` if the host does not do it.
  public init(_ ranges: [HostRange], later: [HostRange] = []) throws(HostPagesError) {
    let all = ranges.map { ($0, false) } + later.map { ($0, true) }
    for (range, _) in all {
      if let reason = range.reasonItIsInvalid { throw .invalidRange(range, reason: reason) }
      guard HostPageState.isMapped(range) else {
        throw .invalidRange(range, reason: "some of it is not mapped")
      }
    }
    let userfaultfd = try Userfaultfd()
    var registrations: [Registration] = []
    for (range, isLater) in all {
      let hasHugetlb = try userfaultfd.register(range)
      registrations.append(
        Registration(
          range: range, kind: try MappingKind(of: range, hasHugetlb: hasHugetlb),
          isLater: isLater))
    }
    self.registrations = registrations
    pagemap = try Pagemap()
    self.userfaultfd = userfaultfd
  }

  deinit {
    try? end()
  }

  /// Protects every page: writes from now on are noted. Called again, it forgets what was noted.
  ///
  /// To be called after all earlier writes were accounted for, and before anything pins pages.
  /// Writes during the call are noted or not.
  ///
  /// - Throws: `ended`; `registrationLost` if the memory was mapped anew; `call` for want of
  ///   memory. Some ranges may then be protected, but reading still throws if it did before.
  public func arm() throws(HostPagesError) {
    guard state.load(ordering: .relaxed) != State.ended else { throw .ended }
    for registration in registrations where !registration.isLater {
      try userfaultfd.protect(registration.range)
    }
    let (isFirst, original) = state.compareExchange(
      expected: State.registered, desired: State.armed, ordering: .relaxed)
    if !isFirst && original == State.ended { throw .ended }
  }

  /// Protects every page of a part of the later ranges, before anybody writes to it. After the end
  /// nothing happens.
  ///
  /// - Throws: as `arm`; `invalidRange` if it is not a part of one.
  public func protect(_ part: HostRange) throws(HostPagesError) {
    if let reason = part.reasonItIsInvalid { throw .invalidRange(part, reason: reason) }
    guard
      registrations.contains(where: {
        $0.isLater && part.start >= $0.range.start && part.end <= $0.range.end
      })
    else { throw .invalidRange(part, reason: "it is not part of a later range given to init") }
    do throws(HostPagesError) {
      guard state.load(ordering: .relaxed) != State.ended else { return }
      try userfaultfd.protect(part)
    } catch {
      // It may have ended meanwhile, and is not registered any more.
      guard state.load(ordering: .relaxed) == State.ended else { throw error }
    }
  }

  /// Sets one bit per 4 KiB page that was written since it was protected; clears none.
  ///
  /// - Parameters:
  ///   - range: one of those given to `init`, whole; of a later one what was protected, from its
  ///     start on.
  ///   - words: bit 0 of word 0 is the first page; at least as many words as the pages need. Bits
  ///     of further pages keep their value.
  /// - Throws: `registrationLost` if the memory was unmapped or mapped anew, `notArmed`, `ended`,
  ///   `invalidRange`. Some bits may be set then.
  public func readWrittenPages(
    of range: HostRange, into words: inout MutableSpan<UInt64>
  ) throws(HostPagesError) {
    switch state.load(ordering: .relaxed) {
    case State.registered: throw .notArmed
    case State.ended: throw .ended
    default: break
    }
    guard let registration = registrations.first(where: { $0.has(range) }) else {
      throw .invalidRange(range, reason: "it is not one of the ranges given to init")
    }
    precondition(
      words.count >= (range.pageCount + 63) / 64,
      "\(words.count) words for \(range.pageCount) pages")
    var cursor = range.start
    try pagemap.forEachRegion(of: range, for: .written) { (region) throws(HostPagesError) in
      let addresses = UInt(region.start)..<UInt(region.end)
      try setResident(cursor..<addresses.lowerBound, of: registration, in: &words)
      if region.categories & CKVM_PAGE_IS_WRITTEN != 0 {
        PageBits.set(range.pages(addresses), in: &words)
      }
      cursor = addresses.upperBound
    }
    try setResident(cursor..<range.end, of: registration, in: &words)
  }

  /// Takes off the protection and unregisters. Nothing happens the second time; `deinit` does it
  /// too.
  ///
  /// To be called while the memory is still mapped.
  ///
  /// - Throws: the first error, after all ranges were tried; the object is ended nevertheless.
  public func end() throws(HostPagesError) {
    guard state.exchange(State.ended, ordering: .relaxed) != State.ended else { return }
    var firstError: HostPagesError?
    for registration in registrations {
      do throws(HostPagesError) {
        try userfaultfd.unregister(registration.range)
      } catch {
        firstError = firstError ?? error
      }
    }
    if let firstError { throw firstError }
  }

  /// Sets the bits of those pages without an entry in the page tables that may hold data all the
  /// same.
  private func setResident(
    _ addresses: Range<UInt>, of registration: Registration, in words: inout MutableSpan<UInt64>
  ) throws(HostPagesError) {
    guard case .file = registration.kind, !addresses.isEmpty else { return }
    let pages = registration.range.pages(addresses)
    var isResident = [UInt8](repeating: 0, count: min(pages.count, 1 << 14))
    var cursor = addresses.lowerBound
    // What is swapped out looks as absent as what is not there. Asked before and after: a page that
    // is not resident in between was then not in swap.
    let hadSwap = HostPageState.hasSwap
    while !hadSwap && cursor < addresses.upperBound {
      let count = try HostPageState.residency(
        cursor..<addresses.upperBound, of: registration.range, into: &isResident)
      let first = registration.range.pages(cursor..<addresses.upperBound).lowerBound
      for index in 0..<count where isResident[index] & 1 != 0 {
        PageBits.set(first + index..<first + index + 1, in: &words)
      }
      cursor += UInt(count) * HostRange.pageByteCount
    }
    if hadSwap || HostPageState.hasSwap { PageBits.set(pages, in: &words) }
  }
}
