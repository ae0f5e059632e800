internal import DeviceKit
internal import Devices
internal import MachineSpecification
internal import Synchronization

/// The file of `--screenshot`, and the picture that goes into it at the end of the run.
final class Screenshot: Sendable {
  private let file: LogFile
  /// As the last machine left it: its width and its lines.
  private let picture = Mutex<(width: Int, lines: [[UInt8]])?>(nil)

  /// Opens and locks the file; what it has stays until a picture replaces it.
  init(path: String) throws {
    file = try LogFile(LogFileSpec(file: path))
  }

  /// Keeps what a display shows; nothing if it is off.
  func keep(_ display: BochsDisplay) {
    guard let mode = display.mode else { return }
    let lines = (0..<mode.height).map { Self.colours(of: display.line($0, of: mode)) }
    picture.withLock { $0 = (mode.width, lines) }
  }

  /// Writes the picture.
  func write() {
    guard let (width, lines) = picture.withLock({ $0 }) else {
      return Diagnostics.report("no screenshot: the guest showed no picture")
    }
    do throws(SystemError) {
      try file.begin()
      var writer = file.writer(.ofProcess)
      if case .failed(let error) = writer.write(PNGImage(width: width, lines: lines).bytes) {
        throw error
      }
    } catch {
      Diagnostics.report(error)
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
