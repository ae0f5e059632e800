import Glibc
import GuestMemory
import TestSupport
import Testing

/// A host that gives no memory, at each place where some is asked for: an error that says what to
/// do.
@Suite(.enabled(if: !Sanitizer.isActive, "a sanitizer needs its own address space"))
struct HostLimitTests {
  @Test(
    "no address space: for the first region, the second, or neither",
    arguments: ["anonymous", "memfd", "hugetlb"])
  func addressSpace(name: String) async {
    await #expect(processExitsWith: .exitCode(0)) { [name = name as String] in
      // Two regions, of 2 GiB and of 1 GiB; 0, 64 MiB, 2.5 GiB beyond what the process has now.
      for spare in [0, 64, 2560] as [UInt64] {
        let before = try addressSpaceByteCount()
        try ProcessLimit.addressSpace.set(before + 16 * mebibyte + spare * mebibyte)
        do {
          _ = try GuestMemory(
            layout: GuestMemoryLayout(ramByteCount: 3 * gibibyte), backing: backing(name))
          _exit(1)
        } catch let error as GuestMemoryError {
          guard case .allocation(_, _, _, ENOMEM) = error else { _exit(2) }
          guard "\(error)".contains(name == "hugetlb" ? "nr_hugepages" : "ulimit -v") else {
            _exit(3)
          }
        }
        try ProcessLimit.addressSpace.set(nil)
        // What was mapped before the failure is gone.
        guard try addressSpaceByteCount() < before + 64 * mebibyte else { _exit(4) }
      }
      if name != "hugetlb" {
        let memory = try GuestMemory(
          layout: GuestMemoryLayout(ramByteCount: 3 * gibibyte), backing: backing(name))
        try memory.store(1 as UInt8, at: GPA(0x1_0000_0000))
      }
      _exit(0)
    }
  }

  @Test func deviceMemoryThatIsNotGiven() async {
    await #expect(processExitsWith: .exitCode(0)) {
      try ProcessLimit.addressSpace.set(try addressSpaceByteCount() + 16 * mebibyte)
      do {
        _ = try DeviceMemory(byteCount: 256 << 20)
        _exit(1)
      } catch let error as GuestMemoryError {
        guard "\(error)".contains("Cannot allocate memory (ENOMEM)") else { _exit(2) }
      }
      _ = try DeviceMemory(byteCount: 4096)
      _exit(0)
    }
  }

  @Test func noDescriptorForASharedMemoryFile() async {
    await #expect(processExitsWith: .exitCode(0)) {
      try ProcessLimit.openFiles.set(0)
      let layout = try GuestMemoryLayout(ramByteCount: 16 * mebibyte)
      do {
        _ = try GuestMemory(layout: layout, backing: .memfd)
        _exit(1)
      } catch let error as GuestMemoryError {
        guard "\(error)".contains("raise the limit of open files") else { _exit(2) }
      }
      _ = try GuestMemory(layout: layout)
      _exit(0)
    }
  }

  @Test func aSharedMemoryFileLargerThanFilesMayBe() async {
    await #expect(processExitsWith: .exitCode(0)) {
      _ = signal(SIGXFSZ, SIG_IGN)
      try ProcessLimit.fileSize.set(8 * mebibyte)
      do {
        _ = try GuestMemory(
          layout: GuestMemoryLayout(ramByteCount: 16 * mebibyte), backing: .memfd)
        _exit(1)
      } catch let error as GuestMemoryError {
        guard "\(error)".contains("raise the limit of file sizes") else { _exit(2) }
      }
      _exit(0)
    }
  }
}

private func backing(_ name: String) -> MemoryBacking {
  switch name {
  case "memfd": .memfd
  case "hugetlb": .hugetlb
  default: .anonymous
  }
}

/// Bytes of address space that this process has.
private func addressSpaceByteCount() throws -> UInt64 {
  let file = unsafe open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
  guard file >= 0 else { throw ProcessLimit.Failure() }
  defer { close(file) }
  var bytes = [UInt8](repeating: 0, count: 128)
  let count = unsafe read(file, &bytes, bytes.count)
  let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  guard let pages = text.split(separator: " ").first.flatMap({ UInt64($0) }) else {
    throw ProcessLimit.Failure()
  }
  return pages * 4096
}
