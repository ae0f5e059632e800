internal import Devices
internal import GuestMemory

/// A small disk that checks what it is asked, calls back, and fails when it is told to.
///
/// Sendable because one thread uses it.
final class FuzzStore: BlockStore, @unchecked Sendable {
  let byteCount: UInt64 = 64 << 10
  let isReadOnly = false
  var onCall: () -> Void = {}
  var fails = false

  private func call(_ offset: UInt64, _ count: UInt64) throws(BlockStoreError) {
    let (end, overflow) = offset.addingReportingOverflow(count)
    require(!overflow && end <= byteCount, "\(count) bytes at \(offset) of the disk")
    onCall()
    if fails { throw .system(operation: "fuzz", offset: offset, byteCount: count, errno: 28) }
  }

  func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    require(memory.isRAM(address, byteCount: byteCount), "read to \(address)")
    try call(offset, UInt64(byteCount))
    try? memory.fill(at: address, byteCount: byteCount, with: UInt8(truncatingIfNeeded: offset))
  }

  func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {
    require(memory.isRAM(address, byteCount: byteCount), "write from \(address)")
    try call(offset, UInt64(byteCount))
  }

  func flush() throws(BlockStoreError) { try call(0, 0) }

  func discard(at offset: UInt64, byteCount: UInt64) throws(BlockStoreError) {
    try call(offset, byteCount)
  }

  func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError) {
    try call(offset, byteCount)
  }
}
