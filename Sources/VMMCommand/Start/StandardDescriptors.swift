import Glibc

/// Descriptors 0, 1 and 2, which are standard input, output and error by number alone.
enum StandardDescriptors {
  /// Takes up those that are closed: else the next files to be opened, a disk perhaps, would get
  /// their numbers, and with them the guest's output and this program's messages.
  ///
  /// `/dev/null`, opened the other way round, keeps the number and still answers EBADF, so that a
  /// report that was to go to a closed standard output fails as it should. Call it before anything
  /// is opened.
  ///
  /// - Returns: false if there is no free descriptor; nothing should be opened then.
  static func occupy() -> Bool {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      let flags = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY
      // SAFETY: the paths are lent, terminated, for the calls.
      var opened = unsafe open("/dev/null", flags | O_NOCTTY)
      // A chroot may lack /dev/null. A directory can be neither read nor written.
      if opened < 0 { opened = unsafe open("/", O_RDONLY | O_DIRECTORY) }
      // The lowest free number is what open(2) gives.
      guard opened == descriptor else { return false }
    }
    return true
  }
}
