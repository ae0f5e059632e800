internal import DeviceKit
internal import Devices
internal import MachineSpecification
internal import Synchronization

/// The file of `--screenshot`, and the picture that goes into it at the end of the run, and
/// whenever it is asked for. Any thread.
final class Screenshot: Sendable {
  private struct Picture: Sendable {
    let width: Int
    let lines: [[UInt8]]

    /// Nil for a display that is off.
    init?(_ display: BochsDisplay) {
      guard let mode = display.mode else { return nil }
      width = mode.width
      lines = (0..<mode.height).map { Screenshot.colours(of: display.line($0, of: mode)) }
    }
  }

  /// Held while it is written.
  private let file: Mutex<LogFile>
  private let path: String
  /// While the run goes on, the thread that writes has other signals to see to: who does not read
  /// is waited for a second.
  private let patience = OutputPatience()
  /// As the last machine left it.
  private let last = Mutex<Picture?>(nil)

  /// Opens and locks the file; what it has stays until a picture replaces it.
  init(path: String) throws {
    self.path = path
    file = Mutex(try LogFile(LogFileSpec(file: path), isRewritten: true))
    patience.shorten()
  }

  /// What a display shows now, as a PNG file; nil if it is off.
  static func picture(of display: BochsDisplay) -> [UInt8]? {
    Picture(display).map { PNGImage(width: $0.width, lines: $0.lines).bytes }
  }

  /// Keeps what a display shows for the end of the run; nothing if it is off.
  func keep(_ display: BochsDisplay) {
    guard let picture = Picture(display) else { return }
    last.withLock { $0 = picture }
  }

  /// Writes the picture that was kept, at the end.
  func write() {
    guard let picture = last.withLock({ $0 }) else {
      return Diagnostics.report("no screenshot: the guest showed no picture")
    }
    do throws(SystemError) {
      try write(picture, .ofProcess)
    } catch {
      Diagnostics.report(error)
    }
  }

  /// Writes what a display shows now.
  ///
  /// - Parameter display: nil when there is no machine.
  /// - Returns: what there is to say of it.
  func write(_ display: BochsDisplay?) -> String {
    guard let display else { return "no screenshot: no machine is running" }
    guard let picture = Picture(display) else {
      return "no screenshot: the guest shows no picture"
    }
    do throws(SystemError) {
      try write(picture, patience)
      return "screenshot: \(path)"
    } catch {
      return "no screenshot: \(error)"
    }
  }

  private func write(
    _ picture: Picture, _ patience: OutputPatience
  ) throws(SystemError) {
    let bytes = PNGImage(width: picture.width, lines: picture.lines).bytes
    try file.withLock { (file) throws(SystemError) in
      try file.replace(with: bytes, patience)
    }
  }

  /// Red, green and blue of a line of pixels.
  private static func colours(of line: [UInt8]) -> [UInt8] {
    var colours: [UInt8] = []
    colours.reserveCapacity(line.count / 4 * 3)
    for pixel in stride(from: 0, to: line.count - 3, by: 4) {
      colours.append(line[pixel + 2])
      colours.append(line[pixel + 1])
      colours.append(line[pixel])
    }
    return colours
  }
}
