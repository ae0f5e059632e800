internal import CStart
internal import Devices
internal import Glibc
internal import MachineSpecification

/// The command line of this process.
enum CommandArguments {
  /// What follows the program's name, as `ArgumentText`.
  ///
  /// Not by `CommandLine`: that opens /proc/self/cmdline, ends the process where there is no /proc,
  /// and replaces what is not UTF-8.
  static var all: [String] {
    (1..<max(1, cstart_argument_count())).map { index in
      // SAFETY: below the count; the string is terminated and lives as long as the process.
      unsafe ArgumentText.string(
        from: UnsafeBufferPointer(
          start: cstart_argument(index), count: strlen(cstart_argument(index))
        ).map { UInt8(bitPattern: $0) })
    }
  }
}

extension HostPath {
  /// The path that an argument names, byte for byte: see `ArgumentText`.
  init(argument: String) {
    self.init(bytes: ArgumentText.bytes(of: argument))
  }
}
