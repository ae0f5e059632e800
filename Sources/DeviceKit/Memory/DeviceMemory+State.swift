package import GuestMemory

extension DeviceMemory {
  private static let pageByteCount = 4096

  /// The bytes: pages that are zero take no room. Restored into memory that may hold anything.
  package func transferContents(_ transfer: inout StateTransfer) throws(StateError) {
    let pageCount = byteCount / Self.pageByteCount
    try transfer.constant(UInt64(byteCount), "its memory's size")
    var pages = nonZeroPages()
    if transfer.isRestoring {
      for page in pages { clear(at: page * Self.pageByteCount, byteCount: Self.pageByteCount) }
    }
    try transfer.elements(&pages, maximumCount: pageCount, new: 0) {
      (transfer, page) throws(StateError) in
      try transfer.integer(&page, in: 0...pageCount - 1)
      var bytes = read(at: page * Self.pageByteCount, byteCount: Self.pageByteCount)
      try transfer.bytes(&bytes)
      if transfer.isRestoring { write(bytes, at: page * Self.pageByteCount) }
    }
  }
}
