/// Why a file cannot be handed to firmware.
public enum FirmwareItemError: Error, Equatable, Sendable, CustomStringConvertible {
  case name(String, maximumByteCount: Int)
  case taken(String)
  case tooLarge(String, byteCount: Int)
  case tooMany

  /// One line: the item, and what is wrong with it.
  public var description: String {
    switch self {
    case .name(let name, let maximumByteCount):
      "firmware file name \"\(name)\": 1 to \(maximumByteCount) printable ASCII characters without "
        + "spaces are possible, such as opt/org.example/name"
    case .taken(let name):
      "firmware file \(name) is there already; choose another name, below opt/"
    case .tooLarge(let name, let byteCount):
      "firmware file \(name) has \(byteCount) bytes; at most "
        + "\(FirmwareItems.maximumFileByteCount) are possible"
    case .tooMany:
      "more than \(FirmwareItems.maximumFileCount) firmware files"
    }
  }
}
