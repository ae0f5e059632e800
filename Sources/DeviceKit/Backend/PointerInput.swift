/// A device that takes a pointer's moves: a PS/2 mouse or a USB tablet. Safe from any thread.
public protocol PointerInput: AnyObject, Sendable {
  /// The pointer is at a place, with these buttons down. A mouse reports how far that is from the
  /// place before.
  func setPointer(_ state: PointerState)

  /// Turns the wheels, in notches: away from the user and to the right are positive.
  func turnWheel(vertical: Int, horizontal: Int)
}

/// Where a pointer is, and which of its buttons are down.
public struct PointerState: Hashable, Sendable {
  /// In pixels from the left, 0 to `width` - 1.
  public var x: Int
  /// In pixels from the top, 0 to `height` - 1.
  public var y: Int
  /// The picture that the place is in, in pixels; at least 1.
  public var width: Int
  public var height: Int
  public var buttons: PointerButtons

  public init(x: Int, y: Int, width: Int, height: Int, buttons: PointerButtons) {
    self.x = x
    self.y = y
    self.width = width
    self.height = height
    self.buttons = buttons
  }
}

/// Buttons, by their bits in a mouse's report. Source: HID 1.11, appendix B.2.
public struct PointerButtons: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  public static let left = PointerButtons(rawValue: 1)
  public static let right = PointerButtons(rawValue: 2)
  public static let middle = PointerButtons(rawValue: 4)
  public static let back = PointerButtons(rawValue: 8)
  public static let forward = PointerButtons(rawValue: 16)
}
