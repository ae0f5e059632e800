import Foundation
import Synchronization
import VMM

/// A kernel and an initramfs of `scripts/lib/tiny-initramfs.sh`: it says that user space is
/// reached, then sleeps.
struct UserSpaceGuest {
  static let marker = "user space reached"
  /// Longer than any check takes. The test ends the machine before.
  static let commandLine = "console=ttyS0 panic=-1 linger=600"

  let kernel: String
  let initrd: String

  /// What LINUX_KERNEL and LINUX_INITRD name; nil without them.
  static let given: UserSpaceGuest? = {
    let environment = ProcessInfo.processInfo.environment
    guard let kernel = environment["LINUX_KERNEL"], let initrd = environment["LINUX_INITRD"] else {
      return nil
    }
    return UserSpaceGuest(kernel: kernel, initrd: initrd)
  }()

  func image() throws -> GuestImage {
    .linux(
      LinuxGuest(
        kernel: try BootFile(path: kernel, role: "kernel"),
        initrd: try BootFile(path: initrd, role: "initrd"), commandLine: Self.commandLine))
  }
}

/// Reads along with a serial port until a line with a text comes.
final class SerialWatch: Sendable {
  private struct State {
    var all: [UInt8] = []
    var lineStart = 0
    var hasSeen = false
  }

  private let text: [UInt8]
  private let state = Mutex(State())
  private let seen = DispatchSemaphore(value: 0)

  init(for text: String) {
    self.text = [UInt8](text.utf8)
  }

  func take(_ byte: UInt8) {
    let isFirst = state.withLock { state in
      state.all.append(byte)
      guard byte == 10 else { return false }
      let line = state.all[state.lineStart...]
      state.lineStart = state.all.count
      guard !state.hasSeen, line.starts(with: text) else { return false }
      state.hasSeen = true
      return true
    }
    if isFirst { seen.signal() }
  }

  /// Nobody will see it any more.
  func giveUp() {
    seen.signal()
  }

  /// Waits for the line, for `giveUp()` or for the time to be up; false if it was not seen.
  func wait(seconds: Int) -> Bool {
    _ = seen.wait(timeout: .now() + .seconds(seconds))
    return state.withLock { $0.hasSeen }
  }

  /// The last that was printed, for messages.
  var tail: String {
    state.withLock { String(decoding: $0.all.suffix(2000), as: UTF8.self) }
  }
}
