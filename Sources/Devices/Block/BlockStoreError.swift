internal import DeviceKit
internal import Glibc
public import GuestMemory
internal import HostSystem

/// Why a virtual disk cannot be opened, or did not do what it was asked.
public enum BlockStoreError: Error, Equatable, Sendable {
  /// The file cannot be opened or looked at. `operation` is the call's name.
  case open(path: String, operation: String, errno: Int32)
  /// Another program has the file open.
  case locked(path: String, isReadOnly: Bool)
  /// It is neither a file nor a block device.
  case kind(path: String)
  /// It holds a disk, or something else, in another format.
  case foreign(path: String, ForeignImage)
  /// The same of what is to be a CD or DVD.
  case foreignMedium(path: String, ForeignImage)
  /// The size is 0 or no multiple of a sector's.
  case size(path: String, byteCount: UInt64, sectorByteCount: UInt64)
  /// A change of a read-only disk.
  case readOnly
  /// A transfer from or to guest memory failed.
  case transfer(offset: UInt64, GuestMemoryError)
  /// Another call failed. `operation` is the call's name.
  case system(operation: String, offset: UInt64, byteCount: UInt64, errno: Int32)

  /// Whether the host has no space left: on the disk, in a quota, or within a limit of file sizes.
  public var isOutOfSpace: Bool {
    switch self {
    case .transfer(_, .system(_, _, _, let errno)), .system(_, _, _, let errno):
      errno == ENOSPC || errno == EDQUOT || errno == EFBIG
    default:
      false
    }
  }
}

extension BlockStoreError: CustomStringConvertible {
  /// What was attempted, with which values, what the system answered, and what to do; one line.
  public var description: String {
    switch self {
    case .open(let path, let operation, let errno):
      "\(operation) of disk image \(path): \(Errno(errno))"
    case .locked(let path, let isReadOnly):
      "disk image \(path) is in use by another program (a virtual machine, qemu-img, ...); stop "
        + "it, or give each a copy" + (isReadOnly ? "" : ", or open it read-only in both")
    case .kind(let path):
      "disk image \(path) is neither a file nor a block device"
    case .foreign(let path, let image):
      "disk image \(path) \(image.complaint(path: path))"
    case .foreignMedium(let path, let image):
      "CD image \(path) \(image.complaintOfMedium(path: path))"
    case .size(let path, let byteCount, 512):
      "disk image \(path) has \(byteCount) bytes, and a raw image has whole sectors of 512; it is "
        + "cut off, or in another format (qemu-img info \(ShellWord(path)))"
    case .size(let path, let byteCount, let sectorByteCount):
      "disk image \(path) has \(byteCount) bytes, which is no multiple of its block size, "
        + "\(sectorByteCount)"
    case .readOnly:
      "change of a read-only disk"
    case .transfer(let offset, let error):
      "disk offset 0x\(String(offset, radix: 16)): \(error)"
    case .system(let operation, let offset, let byteCount, let errno):
      "\(operation) of 0x\(String(byteCount, radix: 16)) bytes at disk offset "
        + "0x\(String(offset, radix: 16)): \(Errno(errno))"
    }
  }
}

extension StateError {
  /// Of a disk whose content would not be that of the machine that is saved.
  init(flushing error: BlockStoreError) {
    self = .busy("what was written to its disk is not safe: \(error)")
  }
}
