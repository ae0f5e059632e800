import Foundation
import GuestMemory
import Testing

@testable import VMM

/// Where a kernel is.
enum RealKernel {
  static let path: String? = {
    let cached = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../.build-rig/kernels/6.12/vmlinuz").standardizedFileURL.path
    let path = ProcessInfo.processInfo.environment["LINUX_KERNEL"] ?? cached
    return FileManager.default.isReadableFile(atPath: path) ? path : nil
  }()
}

/// A distribution's kernel: the file that LINUX_KERNEL names, or the one in the rig's cache.
@Suite(.enabled(if: RealKernel.path != nil, "needs a bzImage, named by LINUX_KERNEL"))
struct RealKernelTests {
  @Test func isLoadedWhereItPrefers() throws {
    let path = try #require(RealKernel.path)
    let plan = try LinuxBootPlan(
      kernel: BootFile(path: path, role: "kernel"),
      initrd: BootFile(path: path, role: "initrd"), commandLine: "console=ttyS0",
      layout: layout(256 << 20))
    guard case .bzImage(let image) = plan.image else {
      Issue.record("not a bzImage")
      return
    }
    #expect(plan.kernelAddresses.lowerBound == image.preferredAddress)
    #expect(image.isRelocatable && image.maximumCommandLineByteCount == 2047)
    let guest = try GuestMemory(layout: plan.layout)
    try plan.load(into: guest)
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    try file.seek(toOffset: UInt64(image.kernelOffset))
    let expected = try file.read(upToCount: image.kernelByteCount)
    let loaded = try guest.read(
      at: GPA(plan.kernelAddresses.lowerBound), byteCount: image.kernelByteCount)
    #expect(expected == Data(loaded))
  }

  @Test func saysHowMuchMemoryItNeeds() throws {
    let path = try #require(RealKernel.path)
    let kernel = try BootFile(path: path, role: "kernel")
    let error = failure { () throws(MachineError) in
      try LinuxBootPlan(
        kernel: kernel, commandLine: "",
        layout: VMM.memory { () throws(GuestMemoryError) in
          try GuestMemoryLayout(ramByteCount: 16 << 20)
        })
    }
    #expect(error?.description.contains("; give the guest at least ") == true)
  }
}
