import DeviceKit
import Dispatch
import Foundation
import Synchronization

/// Writes what a display shows into a file, as a Windows bitmap. Any thread: the file is written
/// on one of its own, as a vCPU's has no time for that.
final class Camera: Sendable {
  private struct State {
    weak var display: (any PictureSource)?
    var count = 0
  }

  private let path: String
  private let state = Mutex(State())
  private let queue = DispatchQueue(label: "camera")

  init(path: String) {
    self.path = path
  }

  /// Takes pictures of this display from now on.
  func point(at display: (any PictureSource)?) {
    state.withLock { $0.display = display }
  }

  /// Takes one, soon.
  func takePicture() {
    queue.async { self.write() }
  }

  /// Waits for what was to be taken.
  ///
  /// - Returns: how many pictures were taken; none were while the display was off.
  func finish() -> Int {
    queue.sync { state.withLock { $0.count } }
  }

  private func write() {
    guard let display = state.withLock({ $0.display }), let mode = display.mode else { return }
    var picture = Self.header(of: mode)
    for line in 0..<mode.height {
      // Blue, green, red and an unused byte, as the bitmap has them.
      display.withLine(line, of: mode) { bytes in
        bytes.withUnsafeBytes { picture.append(contentsOf: $0.prefix(4 * mode.width)) }
      }
    }
    do {
      try picture.write(to: URL(fileURLWithPath: path))
      state.withLock { $0.count += 1 }
    } catch {
      print("no picture: \(error)")
    }
  }

  /// BITMAPFILEHEADER and BITMAPINFOHEADER: 32 bits a pixel, the first line first, which a height
  /// below 0 says.
  private static func header(of mode: DisplayMode) -> Data {
    let byteCount = 4 * mode.width * mode.height
    var header = Data("BM".utf8)
    for number in [54 + byteCount, 0, 54, 40, mode.width, -mode.height, 1 | 32 << 16, 0, byteCount]
    {
      withUnsafeBytes(of: Int32(number).littleEndian) { header.append(contentsOf: $0) }
    }
    return header + Data(count: 16)
  }
}
