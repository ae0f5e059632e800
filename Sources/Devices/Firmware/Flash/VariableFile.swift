internal import Glibc
internal import HostSystem

/// Firmware's variables in a file: the bytes of the chip, as other monitors keep them too.
///
/// Each change is written where it belongs, in the order in which the guest makes it. So at any
/// moment the file is what a real chip would be if power failed then, which the firmware's protocol
/// is made for: it finds the old variable or the new one. Locked while it is open.
public final class VariableFile: FlashStore {
  /// More drafts than that are no accident.
  private static let maximumDraftCount = 1000

  public let initialBytes: [UInt8]
  /// The locks that its file system does not have; nil if it has all.
  public var lockGap: FileLockGap? { file.lockGap }
  private let path: HostPath
  private let file: LockedFile

  /// Opens a file of variables; makes it from the template if there is none.
  ///
  /// A new file appears with all its bytes or not at all.
  ///
  /// - Parameters:
  ///   - template: empty variables of the firmware; nil if none are known.
  ///   - isLocked: false for a machine that still is in another process.
  /// - Throws: `FlashStoreError`, if the file is not one for this firmware, or in use.
  public convenience init(
    path: HostPath, template: [UInt8]?, isLocked: Bool = true
  ) throws(FlashStoreError) {
    try self.init(path: path, template: template, isLocked: isLocked, namingCalls: .system)
  }

  /// - Parameter namingCalls: the system calls that give a new file its name.
  init(
    path: HostPath, template: [UInt8]?, isLocked: Bool = true, namingCalls: FileNamingCalls
  ) throws(FlashStoreError) {
    // SAFETY: the path is lent, terminated, for the call.
    if unsafe path.withCString({ unsafe access($0, F_OK) }) != 0, errno == ENOENT {
      guard let template else { throw .noTemplate(path: path.description) }
      try Self.make(path, template, namingCalls)
    }
    let file: LockedFile
    do throws(LockedFile.Failure) {
      file = try LockedFile(path: path, isReadOnly: false, isLocked: isLocked)
      guard file.byteCount <= FirmwareVolume.maximumByteCount else {
        throw .system(operation: "open", errno: EFBIG)
      }
      initialBytes = try file.read(at: 0, byteCount: Int(file.byteCount))
    } catch {
      throw FlashStoreError(error, path: path.description)
    }
    try FirmwareVolume.check(initialBytes, path: path.description, template: template)
    self.path = path
    self.file = file
  }

  /// The same, by a path that is text.
  public convenience init(path: String, template: [UInt8]?) throws(FlashStoreError) {
    try self.init(path: HostPath(path), template: template)
  }

  /// Lets another process have it.
  func letGo() { file.unlock() }

  /// Has it, and gives what it has now.
  func takeUp() throws(FlashStoreError) -> [UInt8] {
    do throws(LockedFile.Failure) {
      try file.lock()
      let bytes = try file.read(at: 0, byteCount: initialBytes.count)
      guard bytes.count == initialBytes.count else {
        throw .system(operation: "pread", errno: EIO)
      }
      return bytes
    } catch {
      throw FlashStoreError(error, path: path.description)
    }
  }

  public func write(_ bytes: [UInt8], at offset: Int) throws(FlashStoreError) {
    do {
      try file.write(bytes, at: UInt64(offset))
    } catch {
      throw FlashStoreError(error, path: path.description)
    }
  }

  public func flush() throws(FlashStoreError) {
    do {
      try file.flush()
    } catch {
      throw FlashStoreError(error, path: path.description)
    }
  }

  /// Makes the file under another name and gives it its own once it is complete. Where somebody
  /// else was faster, theirs stays.
  private static func make(
    _ path: HostPath, _ bytes: [UInt8], _ calls: FileNamingCalls
  ) throws(FlashStoreError) {
    let draft = try makeDraft(path)
    // SAFETY: the paths are lent, terminated, for the calls.
    defer { _ = unsafe draft.withCString { unsafe unlink($0) } }
    do throws(LockedFile.Failure) {
      let file = try LockedFile(path: draft, isReadOnly: false)
      try file.write(bytes, at: 0)
      try file.flush()
    } catch {
      throw FlashStoreError(error, path: path.description)
    }
    let error = FileNaming.give(path, to: draft, calls: calls)
    guard error == 0 || error == EEXIST else {
      throw .system(operation: "link", path: path.description, errno: error)
    }
  }

  /// An empty file beside `path`. One that was killed leaves its draft, and in a container the next
  /// has the same process number: so there is a second number.
  private static func makeDraft(_ path: HostPath) throws(FlashStoreError) -> HostPath {
    var number = 0
    while true {
      let draft = path.appending(".\(getpid()).\(number).new")
      do throws(Errno) {
        // SAFETY: the path is lent, terminated, for the call.
        _ = try FileDescriptor {
          unsafe draft.withCString {
            unsafe open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
          }
        }
        return draft
      } catch {
        guard error.rawValue == EEXIST, number < maximumDraftCount else {
          throw .system(operation: "create", path: path.description, errno: error.rawValue)
        }
        number += 1
      }
    }
  }
}
