internal import GuestMemory

/// A file that one machine at a time has for itself, and that passes from one process to another
/// while the machine moves: the source lets go, then the destination takes it up. Any thread.
public protocol PassableFile: AnyObject, Sendable {
  /// Lets others have it. What was written is safe before; nothing is written afterwards.
  func letGo()

  /// Has it again, or for the first time, as it is now.
  ///
  /// - Throws: one line: somebody else has it.
  func takeUp() throws

  /// Why it cannot be let go, for it could not be taken up again; nil if it can.
  var obstacle: String? { get }
}

extension PassableFile {
  public var obstacle: String? { nil }
}

extension RawImageStore: PassableFile {
  public func letGo() { file.unlock() }

  public func takeUp() throws {
    do {
      try file.lock()
    } catch {
      throw error.ofDisk(path: path.description, isReadOnly: isReadOnly)
    }
  }
}

extension FlashChip: PassableFile {
  public func letGo() { (store as? VariableFile)?.letGo() }

  public func takeUp() throws {
    guard let file = store as? VariableFile else { return }
    contents.write(try file.takeUp(), at: 0)
  }
}
