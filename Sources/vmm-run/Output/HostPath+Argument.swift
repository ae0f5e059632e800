internal import Devices

extension HostPath {
  /// The path that an argument names, byte for byte: see `ArgumentText`.
  init(argument: String) {
    self.init(bytes: ArgumentText.bytes(of: argument))
  }
}
