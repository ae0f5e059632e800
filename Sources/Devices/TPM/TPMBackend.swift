internal import Bytes
public import DeviceKit

/// What answers the commands of a TPM 2.0: an emulator. It outlives machines: a reset makes a new
/// `TPMInterface` for the same back-end.
public protocol TPMBackend: AnyObject, Sendable {
  /// Before `restart` and `answer` of a machine.
  func begin()

  /// Power-on: the TPM starts anew. On the TPM's thread; may wait.
  func restart()

  /// Answers a whole command of `TPMMessage.headerByteCount` to `TPMRegisters.bufferByteCount`
  /// bytes, whose header has its length. On the TPM's thread; may wait.
  ///
  /// - Returns: nil if no answer will come. What does not fit the guest's buffer counts as none.
  func answer(_ command: [UInt8]) -> [UInt8]?

  /// Whether the command that is being answered, or the next one, is to be cancelled. Any thread,
  /// never at the same time as another call of it; does not wait.
  func setCancels(_ cancels: Bool)

  /// Saves or restores the TPM's own state, while no command is under way: before `begin`, or in a
  /// pause. What was restored the next `restart` leaves as it is. May wait.
  func transferState(_ transfer: inout StateTransfer) throws(StateError)

  /// Ends what `restart` and `answer` wait for, until `begin`. Any thread; does not wait.
  func end()
}

extension TPMBackend {
  /// Refuses.
  public func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    throw .unsupported("a TPM of this kind")
  }
}

/// The header of commands and responses, big-endian: a tag of 16 bits, the length of all, a code of
/// a command or a response, 32 bits each. Source: TPM 2.0 Library, Part 1 §18, Part 2 §6.
enum TPMMessage {
  static let headerByteCount = 10

  /// *TPM_ST_NO_SESSIONS*
  static let noSessions: UInt16 = 0x8001
  /// *TPM_RC_FAILURE*
  static let failure: UInt32 = 0x101
  /// *TPM_RC_COMMAND_SIZE*
  static let wrongSize: UInt32 = 0x142

  /// A response that is no more than its code.
  static func response(_ code: UInt32) -> [UInt8] {
    noSessions.bigEndianBytes + UInt32(headerByteCount).bigEndianBytes + code.bigEndianBytes
  }

  /// The length that a message's header has; nil if there is no whole header.
  static func byteCount(of message: [UInt8]) -> UInt32? {
    guard message.count >= headerByteCount else { return nil }
    return message.loadBE(at: 2)
  }
}
