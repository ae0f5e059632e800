internal import Bytes

/// What a viewer sends once it is let in. Sources: RFC 6143, section 7.5; the community's *RFB
/// Protocol*, for those above 6.
extension RFBSession {
  private enum MessageType {
    static let setPixelFormat: UInt8 = 0
    static let setEncodings: UInt8 = 2
    static let updateRequest: UInt8 = 3
    static let key: UInt8 = 4
    static let pointer: UInt8 = 5
    static let clipboard: UInt8 = 6
    static let continuousUpdates: UInt8 = 150
    static let fence: UInt8 = 248
    static let setDesktopSize: UInt8 = 251
    static let qemu: UInt8 = 255
  }

  /// Whether a message changes what updates are like, or has an answer.
  static func changesUpdates(_ message: RFBMessage) -> Bool {
    switch message.byte(0) {
    case MessageType.setPixelFormat, MessageType.setEncodings, MessageType.continuousUpdates,
      MessageType.fence:
      true
    default: false
    }
  }

  /// Takes a message; nil if not all of it is there.
  mutating func takeMessage(_ message: RFBMessage) -> Int? {
    guard let type = message.byte(0) else { return nil }
    switch type {
    case MessageType.setPixelFormat: return takePixelFormat(message)
    case MessageType.setEncodings: return takeEncodings(message)
    case MessageType.updateRequest:
      guard message.has(10) else { return nil }
      ask(isIncremental: message.byte(1) != 0, Self.rectangle(message, at: 2))
      return 10
    case MessageType.key:
      guard message.has(8) else { return nil }
      events.append(
        .key(keysym: message.word(4), scanCode: nil, isDown: message.byte(1) != 0))
      return 8
    case MessageType.pointer:
      guard message.has(6) else { return nil }
      events.append(
        .pointer(x: message.short(2), y: message.short(4), buttons: message.byte(1) ?? 0))
      return 6
    case MessageType.clipboard: return takeClipboard(message)
    case MessageType.continuousUpdates:
      guard message.has(10) else { return nil }
      setContinuous(message.byte(1) != 0)
      return 10
    case MessageType.fence: return takeFence(message)
    case MessageType.setDesktopSize:
      guard message.has(8) else { return nil }
      let count = 8 + 16 * Int(message.byte(6) ?? 0)
      guard message.has(count) else { return nil }
      // The guest decides. gvncviewer asks for the old size right after each change.
      refusesSize = abilities.followsExtendedSize
      return count
    case MessageType.qemu: return takeScanCode(message)
    default:
      end = "message \(type)"
      return nil
    }
  }

  private mutating func takePixelFormat(_ message: RFBMessage) -> Int? {
    guard let bytes = message.bytes(4, PixelFormat.byteCount) else { return nil }
    guard let format = PixelFormat(bytes[...]) else {
      end = "pixel format"
      return nil
    }
    self.format = format
    writer = PixelWriter(format)
    if !format.isTrueColour { sendColourMap() }
    return 4 + bytes.count
  }

  /// The 256 colours of `PixelFormat.mapped` (*SetColourMapEntries*).
  private mutating func sendColourMap() {
    output += [1, 0] + UInt16(0).bigEndianBytes + UInt16(256).bigEndianBytes
    for index in 0..<256 as Range<UInt32> {
      for (value, max) in [(index >> 5, 7), (index >> 2 & 7, 7), (index & 3, 3)] {
        output += UInt16(value * 65_535 / UInt32(max)).bigEndianBytes
      }
    }
  }

  private mutating func takeEncodings(_ message: RFBMessage) -> Int? {
    guard message.has(4) else { return nil }
    let count = message.short(2)
    guard count <= Self.encodingLimit else {
      end = "\(count) encodings"
      return nil
    }
    guard message.has(4 + 4 * count) else { return nil }
    let before = abilities
    abilities = ViewerAbilities(
      Set(
        (0..<count).map {
          RFBEncoding(rawValue: Int32(bitPattern: message.word(4 + 4 * $0)))
        }), excluding: excludedEncoding)
    // Those that are open have no answer any more.
    if !abilities.answersFences { openFences = 0 }
    announcesScanCodes = announcesScanCodes || abilities.sendsScanCodes && !before.sendsScanCodes
    announcesLights = announcesLights || abilities.hasLights && !before.hasLights
    announcesCursor = announcesCursor || abilities.hasCursor && !before.hasCursor
    announcesName = announcesName || abilities.hasName && !before.hasName
    // One report lets the viewer know that the server has the extension.
    announcesSize =
      announcesSize || abilities.followsExtendedSize && !before.followsExtendedSize
      || abilities.resizes && viewSize != pictureSize
    if abilities.answersFences, abilities.updatesContinuously, !announcedContinuousUpdates {
      // At once: TigerVNC takes it only before the end of the first update, and with a fence.
      announcedContinuousUpdates = true
      sendFence()
      output.append(MessageType.continuousUpdates)
    }
    return 4 + 4 * count
  }

  private mutating func takeClipboard(_ message: RFBMessage) -> Int? {
    guard message.has(8) else { return nil }
    // The extended clipboard has negative lengths. It is not offered.
    let count = Int(Int32(bitPattern: message.word(4)).magnitude)
    guard count <= Self.clipboardLimit else {
      end = "clipboard of \(count) bytes"
      return nil
    }
    skipped = count
    return 8
  }

  private mutating func takeFence(_ message: RFBMessage) -> Int? {
    guard message.has(9), let count = message.byte(8) else { return nil }
    guard count <= 64 else {
      end = "fence of \(count) bytes"
      return nil
    }
    guard let payload = message.bytes(9, Int(count)) else { return nil }
    let flags = message.word(4)
    if flags & Fence.request != 0 {
      // All that came before has been done, and nothing that follows: as both flags ask.
      output += [MessageType.fence, 0, 0, 0] + (flags & Fence.blocking).bigEndianBytes
      output += [count] + payload
    } else {
      openFences = max(openFences - 1, 0)
    }
    return 9 + Int(count)
  }

  private enum Fence {
    static let request: UInt32 = 0x8000_0000
    /// *BlockBefore* and *BlockAfter*.
    static let blocking: UInt32 = 3
  }

  /// Asks for an answer when all that was sent before has been handled.
  mutating func sendFence() {
    output += [MessageType.fence, 0, 0, 0]
    output += (Fence.request | Fence.blocking).bigEndianBytes + [0]
    openFences += 1
  }

  /// *QEMU Extended Key Event*.
  private mutating func takeScanCode(_ message: RFBMessage) -> Int? {
    guard let type = message.byte(1) else { return nil }
    guard type == 0 else {
      end = "QEMU message \(type)"
      return nil
    }
    guard message.has(12) else { return nil }
    events.append(
      .key(
        keysym: message.word(4), scanCode: message.word(8), isDown: message.short(2) != 0))
    return 12
  }

  private mutating func ask(isIncremental: Bool, _ region: Rectangle) {
    if !isIncremental { dirty.insert(region) }
    // A viewer that asks twice gets one update, of both.
    request = request.map { $0.enclosing(region) } ?? region
  }

  private mutating func setContinuous(_ isOn: Bool) {
    guard abilities.updatesContinuously else { return }
    isContinuous = isOn
    // The last update of those has gone out.
    if !isOn { output.append(MessageType.continuousUpdates) }
  }

  private static func rectangle(_ message: RFBMessage, at offset: Int) -> Rectangle {
    Rectangle(
      x: message.short(offset), y: message.short(offset + 2), width: message.short(offset + 4),
      height: message.short(offset + 6))
  }
}
