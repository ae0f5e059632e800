internal import Bytes
internal import CKVM
internal import Glibc
internal import HostSystem
internal import Synchronization

/// The page (`kvm_run`) that a vCPU shares with the kernel.
///
/// Its mapping lives as long as the last reference, so a kick that comes after the vCPU's end
/// writes to mapped memory.
@safe final class RunPage: @unchecked Sendable {
  // Sendable: the vCPU's thread alone reads and writes through `pointer`, except for
  // `immediate_exit`, which is accessed atomically.
  /// Someone wants KVM_RUN to end; distinguishes a kick from an `immediate_exit` of the vCPU's own.
  private let isKicked = Atomic(false)
  private let pointer: UnsafeMutablePointer<kvm_run>
  private let byteCount: Int
  /// The kernel's number of the thread that runs the vCPU; 0 before one does.
  let threadID = Atomic<Int32>(0)

  init(descriptor: borrowing FileDescriptor, byteCount: Int) throws(KVMError) {
    let mapping = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.rawValue, 0)
    guard let mapping = unsafe mapping, unsafe mapping != MAP_FAILED else {
      throw .failed("mmap of a vCPU's run page, \(byteCount) bytes")
    }
    // SAFETY: the kernel lays out a kvm_run at the start of the mapping.
    unsafe pointer = mapping.assumingMemoryBound(to: kvm_run.self)
    self.byteCount = byteCount
  }

  deinit {
    unsafe munmap(pointer, byteCount)
  }

  /// The fields. Only the thread that runs the vCPU may use it.
  var fields: kvm_run {
    unsafeAddress { unsafe UnsafePointer(pointer) }
    unsafeMutableAddress { unsafe pointer }
  }

  /// The last exit. Safe from any thread: see `ObservedExit`.
  var observedExit: ObservedExit {
    switch Int32(bitPattern: unsafe ckvm_observed_exit_reason(pointer)) {
    case KVM_EXIT_IO: .port(unsafe ckvm_observed_port(pointer))
    case KVM_EXIT_MMIO: .memory(unsafe ckvm_observed_address(pointer))
    case KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR: .msr
    case KVM_EXIT_HYPERV: .hyperV
    case let reason: .other(reason: UInt32(bitPattern: reason))
    }
  }

  /// Ends the current or the next KVM_RUN at once, until `clearKick()`. Safe from any thread.
  func kick() {
    // Sequentially consistent, as the two stores and those of `endImmediateExit` must be seen in
    // one order: whichever comes last, a kick leaves `immediate_exit` set.
    isKicked.store(true, ordering: .sequentiallyConsistent)
    unsafe ckvm_set_immediate_exit(pointer, 1)
  }

  /// Clears pending kicks.
  func clearKick() {
    isKicked.store(false, ordering: .sequentiallyConsistent)
    unsafe ckvm_set_immediate_exit(pointer, 0)
  }

  /// Makes the vCPU's own next KVM_RUN return before it enters the guest.
  func beginImmediateExit() {
    unsafe ckvm_set_immediate_exit(pointer, 1)
  }

  /// Undoes `beginImmediateExit()`, but no kick.
  func endImmediateExit() {
    unsafe ckvm_set_immediate_exit(pointer, 0)
    if isKicked.load(ordering: .sequentiallyConsistent) {
      unsafe ckvm_set_immediate_exit(pointer, 1)
    }
  }

  /// Has the next KVM_RUN set RAX and RDX, and no other register that was not set before.
  func setResultRegisters(rax: UInt64, rdx: UInt64) {
    unsafe ckvm_set_result_registers(pointer, rax, rdx)
  }

  /// Copies `byteCount` bytes at `offset` of the page out.
  func load(offset: Int, byteCount: Int) -> [UInt8] {
    guard let start = unsafe checked(offset: offset, byteCount: byteCount) else { return [] }
    return unsafe [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      if let base = buffer.baseAddress { unsafe memcpy(base, start, byteCount) }
      count = byteCount
    }
  }

  /// Copies `bytes` to `offset` of the page.
  func store(_ bytes: [UInt8], offset: Int) {
    guard let start = unsafe checked(offset: offset, byteCount: bytes.count) else { return }
    unsafe bytes.withUnsafeBytes { source in
      if let base = source.baseAddress { unsafe memcpy(start, base, source.count) }
    }
  }

  /// The little-endian value of at most 4 bytes at `offset`.
  ///
  /// Four bytes are loaded whatever the width: copying as many as asked for costs several times
  /// more. They are there, as items of ports begin a page of the mapping.
  @inline(__always)
  func loadLE(offset: Int, byteCount: Int) -> UInt32 {
    guard let start = unsafe checked(offset: offset, byteCount: 4) else { return 0 }
    let item = unsafe UnsafeRawBufferPointer(start: start, count: 4)
    let value = unsafe UInt32(truncatingIfNeeded: item.loadLE(byteCount: 4))
    guard byteCount < 4 else { return value }
    return value & ((1 << UInt32(8 * byteCount)) - 1)
  }

  /// Stores a little-endian value at `offset`. All four bytes of it: KVM looks at those it asked
  /// for.
  @inline(__always)
  func storeLE(_ value: UInt32, offset: Int) {
    guard let start = unsafe checked(offset: offset, byteCount: 4) else { return }
    unsafe UnsafeMutableRawBufferPointer(start: start, count: 4)
      .storeLE(UInt64(value), byteCount: 4)
  }

  @inline(__always)
  private func checked(offset: Int, byteCount count: Int) -> UnsafeMutableRawPointer? {
    precondition(
      offset >= 0 && count >= 0 && offset <= byteCount && count <= byteCount - offset,
      "run page offset \(offset)+\(count) outside \(byteCount)")
    return count == 0 ? nil : unsafe UnsafeMutableRawPointer(pointer) + offset
  }
}
