/// A device that takes keys: a PS/2 or USB keyboard. Safe from any thread.
public protocol KeyboardInput: AnyObject, Sendable {
  /// Presses or releases a key. A key that is down already is pressed again, as a keyboard that
  /// repeats does; one that is not down is not released.
  func setKey(_ key: KeyboardKey, isDown: Bool)

  /// The lights, as the guest last set them.
  var lights: KeyboardLights { get }
}

/// A place on a keyboard, whatever a layout prints on it: a usage of HID's page 7. Source: HID
/// Usage Tables 1.5, section 10.
public struct KeyboardKey: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }
}

/// The lights of a keyboard, by their bits in HID's output report. Source: HID 1.11, appendix B.1.
public struct KeyboardLights: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8

  public init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  public static let numLock = KeyboardLights(rawValue: 1)
  public static let capsLock = KeyboardLights(rawValue: 2)
  public static let scrollLock = KeyboardLights(rawValue: 4)
}
