internal import HostSystem

/// Why firmware's variables cannot be kept. One line, with what to do.
public enum FlashStoreError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A call failed. `operation` is its name.
  case system(operation: String, path: String, errno: Int32)
  /// Another program has the file open.
  case locked(path: String)
  /// It is neither a file nor a block device.
  case kind(path: String)
  /// It does not begin as a store of variables does.
  case notVariables(path: String)
  /// It is a store for firmware of another layout.
  case size(path: String, byteCount: Int, expected: Int)
  /// It is as long as this firmware's, and divided in another way.
  case layout(path: String)
  /// It is an image of another format, or compressed. `complaint` is the rest of the message.
  case foreign(path: String, complaint: String)
  /// It is not there, and nothing is known to make it from.
  case noTemplate(path: String)
  /// It is there, and nothing is known to tell whether it fits.
  case unknownLayout(path: String)
  /// The firmware's image has the variables in it.
  case insideImage(path: String, image: String)

  init(_ failure: LockedFile.Failure, path: String) {
    self =
      switch failure {
      case .system(let operation, let errno):
        .system(operation: operation, path: path, errno: errno)
      case .locked: .locked(path: path)
      case .kind: .kind(path: path)
      }
  }

  /// One line: the file, what is wrong with it, and what to do.
  public var description: String {
    switch self {
    case .system(let operation, let path, let errno):
      "\(operation) of the variables file \(path): \(Errno(errno))"
    case .locked(let path):
      "the variables file \(path) is in use by another program (a virtual machine, qemu-img, ...); "
        + "stop it, or give each its own"
    case .kind(let path):
      "the variables file \(path) is not a file"
    case .notVariables(let path):
      "\(path) is not a store of firmware variables (no _FVH header, or cut off); name another "
        + "file, or remove it to start with empty variables"
    case .size(let path, let byteCount, let expected):
      "the variables file \(path) has \(byteCount) bytes and this firmware's have \(expected); "
        + "use the firmware it was made for, or another file"
    case .layout(let path):
      "the variables file \(path) is divided in another way than this firmware's; use the firmware it "
        + "was made for, or another file"
    case .foreign(let path, let complaint):
      "\(path) \(complaint)"
    case .unknownLayout(let path):
      "no template is known that says whether this firmware can keep its variables in \(path); name it "
        + "with --vars-template (Debian: /usr/share/OVMF/OVMF_VARS_4M.fd)"
    case .insideImage(let path, let image):
      "the firmware \(image) has its variables in it and would never keep any in \(path); use an image "
        + "without (Debian: /usr/share/OVMF/OVMF_CODE_4M.fd)"
    case .noTemplate(let path):
      "there is no variables file \(path) and no template to make it from; name one with "
        + "--vars-template (Debian: /usr/share/OVMF/OVMF_VARS_4M.fd)"
    }
  }
}
