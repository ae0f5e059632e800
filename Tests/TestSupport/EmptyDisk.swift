package import Devices
package import GuestMemory

/// A read-only disk of nothing, without a file.
package final class EmptyDisk: BlockStore {
  package let byteCount: UInt64
  package let isReadOnly = true

  package init(byteCount: UInt64 = 512) {
    self.byteCount = byteCount
  }

  package func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {}
  package func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {}
  package func flush() throws(BlockStoreError) {}
  package func discard(at offset: UInt64, byteCount: UInt64) throws(BlockStoreError) {}
  package func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError) {}
}
