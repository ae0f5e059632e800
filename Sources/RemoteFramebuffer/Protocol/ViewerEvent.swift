/// What a viewer's user did.
public enum ViewerEvent: Hashable, Sendable {
  /// A key went down, or up. Viewers repeat one that stays down.
  ///
  /// - `keysym`: what the viewer's layout makes of it, as X11 numbers it; 0 if it says nothing.
  /// - `scanCode`: the place, by its set 1 code; an extended one has bit 7. Nil from viewers that
  ///   do not say.
  case key(keysym: UInt32, scanCode: UInt32?, isDown: Bool)
  /// The pointer is there, in pixels, with buttons down by their bits: left, middle, right, the
  /// wheel up, down, left and right, back.
  case pointer(x: Int, y: Int, buttons: UInt8)
}
