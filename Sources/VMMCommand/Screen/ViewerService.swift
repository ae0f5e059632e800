internal import DeviceKit
internal import MachineSpecification
internal import RemoteFramebuffer
internal import Synchronization
internal import VMM

/// The viewers of `--vnc`, for as long as the run lasts: machines come and go.
final class ViewerService: Sendable {
  private let address: VNCAddress
  private let settings: VNCServer.Settings
  private let listener: Mutex<VNCListener?>
  private let server = Mutex<VNCServer?>(nil)

  /// Reads the password and listens: before the sandbox closes.
  ///
  /// - Parameter name: of the machine.
  init(_ options: VNCOptions, name: String) throws {
    var settings = VNCServer.Settings(name: name, layout: options.layout.layout)
    if let path = options.passwordFile {
      settings.password = try Self.password(path)
    }
    self.settings = settings
    let listener =
      if let address = options.address {
        try VNCListener(address)
      } else {
        try VNCListener.onFirstFreeDisplay()
      }
    address = listener.address
    self.listener = Mutex(listener)
  }

  /// The first line of a file.
  private static func password(_ path: String) throws -> [UInt8] {
    let file = GuestFile(role: "password", path: path, maximumByteCount: 4096)
    let line = try file.read().prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    guard !line.isEmpty else {
      throw VNCPasswordError(file: path, problem: "its first line is empty")
    }
    if line.count > 8 {
      Diagnostics.report(
        "warning: \(path): VNC takes the first 8 bytes of a password; the other"
          + " \(line.count - 8) do not count")
    }
    return Array(line)
  }

  /// Starts the thread, in the sandbox.
  func start(onThreadStart: @escaping @Sendable () -> Void) throws(MachineError) {
    guard let listener = listener.withLock({ $0.take() }) else { return }
    do throws(DeviceError) {
      let server = try VNCServer(listener, settings, onThreadStart: onThreadStart)
      self.server.withLock { $0 = server }
    } catch {
      switch error {
      case .unavailable(let what, let cure): throw .unavailable(what: what, cure: cure)
      }
    }
    Diagnostics.report("viewers: \(address)")
  }

  /// Shows a machine, or none for now.
  func show(_ computer: PersonalComputer?) {
    server.withLock { $0 }?.show(
      ShownMachine(
        display: computer?.display, keyboard: computer?.keyboard, pointer: computer?.pointer,
        name: computer == nil ? "\(settings.name) (off)" : nil))
  }

  /// Sends all viewers away.
  func stop() {
    server.withLock({ $0.take() })?.stop()
  }
}

/// Why a password cannot be used.
private struct VNCPasswordError: Error, CustomStringConvertible {
  let file: String
  let problem: String

  var description: String { "password \(QuotedText(file)): \(problem)" }
}
