import DeviceKit
import Foundation
import Synchronization

/// Writes what a display shows into a file, as a portable pixmap. Any thread.
final class Camera: Sendable {
  private struct State {
    weak var display: (any PictureSource)?
    var count = 0
  }

  private let path: String
  private let state = Mutex(State())

  init(path: String) {
    self.path = path
  }

  /// How many pictures were taken.
  var count: Int { state.withLock { $0.count } }

  /// Takes pictures of this display from now on.
  func point(at display: (any PictureSource)?) {
    state.withLock { $0.display = display }
  }

  /// Takes one; none while the display is off.
  func takePicture() {
    guard let display = state.withLock({ $0.display }), let mode = display.mode else { return }
    var picture = Data("P6\n\(mode.width) \(mode.height)\n255\n".utf8)
    for line in 0..<mode.height {
      display.withLine(line, of: mode) { bytes in
        for pixel in 0..<mode.width {
          // Blue, green, red and an unused byte.
          for colour in [2, 1, 0] {
            picture.append(bytes.unsafeLoad(fromByteOffset: 4 * pixel + colour, as: UInt8.self))
          }
        }
      }
    }
    do {
      try picture.write(to: URL(fileURLWithPath: path))
      state.withLock { $0.count += 1 }
    } catch {
      print("no picture: \(error)")
    }
  }
}
