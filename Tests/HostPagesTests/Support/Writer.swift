import Glibc

/// Ways to write a byte of a page.
enum Writer: CaseIterable, Sendable {
  case store, storeOfZero, read, processVMWritev

  func write(to page: Int, of memory: TestMemory) throws {
    let address = unsafe memory.base + page * 4096 + 4095
    switch self {
    case .store: memory.store(1, page)
    case .storeOfZero: memory.store(0, page)
    case .read:
      let descriptor = unsafe open("/dev/zero", O_RDONLY | O_CLOEXEC)
      defer { close(descriptor) }
      guard unsafe Glibc.read(descriptor, address, 1) == 1 else {
        throw SystemFailure(call: "read", number: errno)
      }
    case .processVMWritev:
      guard unsafe SystemCalls.writeIntoSelf([7], at: address) == 1 else {
        throw SystemFailure(call: "process_vm_writev", number: errno)
      }
    }
  }
}
