public import DeviceKit
internal import HostSystem

/// The keyboard and the pointer of a machine that has them twice: a key and a pointer go to the USB
/// device if the guest listens to it, else to the PS/2 one.
///
/// Safe from any thread. No key and no button stays down on the device that was left.
public final class InputSwitch: KeyboardInput, PointerInput {
  private let legacy: any KeyboardInput & PointerInput
  private let usb: XHCIInputs?
  /// What the PS/2 mouse knows, while one of its buttons is down.
  private let held = Guarded<PointerState?>(nil)

  /// - Parameter usb: nil for a machine without one.
  public init(legacy: any KeyboardInput & PointerInput, usb: XHCIController?) {
    self.legacy = legacy
    self.usb = usb?.engine.inputs
  }

  public func setKey(_ key: KeyboardKey, isDown: Bool) {
    let isTaken = usb?.take(.key(key, isDown: isDown)) == true
    // It may have been pressed there: a key that is not down is not released.
    if !isTaken || !isDown { legacy.setKey(key, isDown: isDown) }
  }

  public var lights: KeyboardLights { usb?.lights ?? legacy.lights }

  public func setPointer(_ state: PointerState) {
    let isTaken = usb?.take(.pointer(state)) == true
    let left = held.withLock { held in
      defer { held = isTaken || state.buttons.isEmpty ? nil : state }
      return held
    }
    guard isTaken else { return legacy.setPointer(state) }
    if var left {
      left.buttons = []
      legacy.setPointer(left)
    }
  }

  public func turnWheel(vertical: Int, horizontal: Int) {
    // Away from the user is positive there, too.
    guard usb?.take(.wheel(vertical)) != true else { return }
    legacy.turnWheel(vertical: vertical, horizontal: horizontal)
  }
}
