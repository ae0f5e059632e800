internal import DeviceKit

/// What the viewers hold down together: the guest has one keyboard and one pointer, and a key or a
/// button is up when the last viewer lets it go.
struct HeldInput {
  private struct Viewer {
    var keys: Set<KeyboardKey> = []
    var buttons: PointerButtons = []
  }

  private var viewers: [ObjectIdentifier: Viewer] = [:]

  /// Notes what a viewer's key came to.
  ///
  /// - Returns: whether the guest is to get it.
  mutating func note(_ action: KeyTranslator.Action, of viewer: ObjectIdentifier) -> Bool {
    if action.isDown {
      viewers[viewer, default: Viewer()].keys.insert(action.key)
      // Also when another holds it: a key that repeats does so, too.
      return true
    }
    viewers[viewer]?.keys.remove(action.key)
    return !viewers.values.contains { $0.keys.contains(action.key) }
  }

  /// Notes a viewer's buttons.
  ///
  /// - Returns: what the guest is to get, with the buttons that others hold.
  mutating func note(_ state: PointerState, of viewer: ObjectIdentifier) -> PointerState {
    viewers[viewer, default: Viewer()].buttons = state.buttons
    var state = state
    for other in viewers.values { state.buttons.formUnion(other.buttons) }
    return state
  }

  /// Forgets a viewer that has let everything go.
  mutating func remove(_ viewer: ObjectIdentifier) {
    viewers[viewer] = nil
  }
}
