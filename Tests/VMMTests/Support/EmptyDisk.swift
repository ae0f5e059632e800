import Devices
import GuestMemory

/// A disk of nothing, without a file.
final class EmptyDisk: BlockStore {
  let byteCount: UInt64 = 512
  let isReadOnly = true
  func read(
    at offset: UInt64, byteCount: Int, into memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {}
  func write(
    at offset: UInt64, byteCount: Int, from memory: GuestMemory, at address: GPA
  ) throws(BlockStoreError) {}
  func flush() throws(BlockStoreError) {}
  func discard(at offset: UInt64, byteCount: UInt64) throws(BlockStoreError) {}
  func writeZeroes(
    at offset: UInt64, byteCount: UInt64, mayDiscard: Bool
  ) throws(BlockStoreError) {}
}
