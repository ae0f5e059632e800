public import GuestMemory

extension LinuxBootPlan {
  /// Writes it all into memory that is still zero; every byte is marked as touched by the VMM.
  ///
  /// What is zero at the start (a segment's rest, the kernel's work space) is not written.
  ///
  /// - Parameter guest: memory of the layout that the plan was made for.
  /// - Throws: `MachineError.memory` if a file is shorter than it was, or cannot be read.
  public func load(into guest: GuestMemory) throws(MachineError) {
    precondition(guest.layout == layout, "a plan for \(layout) loaded into \(guest.layout)")
    try memory { () throws(GuestMemoryError) in
      try guest.write(Self.descriptorTable, at: Self.descriptorTableAddress)
      try guest.write(commandLine + [0], at: Self.commandLineAddress)
    }
    switch image {
    case .bzImage(let image):
      try memory { () throws(GuestMemoryError) in
        try Self.tables.write(to: guest)
        try guest.write(parameters(image).encoded, at: Self.parametersAddress)
      }
      try kernel.load(
        offset: image.kernelOffset, byteCount: image.kernelByteCount, into: guest,
        at: GPA(kernelAddresses.lowerBound))
    case .pvh(let image):
      try memory { () throws(GuestMemoryError) in
        try guest.write(startInfo.encoded, at: Self.startInfoAddress)
      }
      for segment in image.segments where segment.fileByteCount > 0 {
        try kernel.load(
          offset: segment.fileOffset, byteCount: segment.fileByteCount, into: guest,
          at: GPA(segment.addresses.lowerBound))
      }
    }
    if let initrd, let addresses = initrdAddresses {
      try initrd.load(
        offset: 0, byteCount: initrd.byteCount, into: guest, at: GPA(addresses.lowerBound))
    }
  }

  private func parameters(_ image: BzImage) -> BootParameters {
    BootParameters(
      image: image, loadAddress: kernelAddresses.lowerBound, initrd: initrdAddresses,
      commandLineAddress: Self.commandLineAddress.rawValue, memoryMap: memoryMap,
      rootPointer: rootPointer)
  }

  private var startInfo: PVHStartInfo {
    PVHStartInfo(
      address: Self.startInfoAddress, initrd: initrdAddresses,
      commandLineAddress: Self.commandLineAddress.rawValue, memoryMap: memoryMap,
      rootPointer: rootPointer)
  }
}
