/// A device that shows a picture: a display. Safe from any thread.
public protocol PictureSource: AnyObject, Sendable {
  /// What is shown now; nil while the display is off.
  var mode: DisplayMode? { get }

  /// What is to be shown as long as the display has been off: width and height in pixels.
  var preferredSize: (width: Int, height: Int) { get }

  /// Calls `body` with a line of the picture of `mode`, from the left: blue, green, red and an
  /// unused byte for each pixel. The guest may be changing it.
  ///
  /// - Parameter line: one of the mode's.
  func withLine(_ line: Int, of mode: DisplayMode, _ body: (RawSpan) -> Void)

  /// Starts or ends the log of written pages, which costs the guest an exit for each page that it
  /// writes. After the start all pages count as written.
  func setLogsWrites(_ logsWrites: Bool)

  /// The pages of 4 KiB of the display's memory that may have been written since the last call:
  /// bit 0 of word 0 is the first page, where a mode's `offset` counts from. A page that is not
  /// named has what it had.
  func takeWrittenPages() -> [UInt64]
}

/// A picture in a display's memory: 4 bytes a pixel, blue first.
public struct DisplayMode: Hashable, Sendable {
  /// Pixels of a line.
  public let width: Int
  /// Lines.
  public let height: Int
  /// Bytes from one line to the next.
  public let lineByteCount: Int
  /// Where the first line begins, in bytes.
  public let offset: Int

  public init(width: Int, height: Int, lineByteCount: Int, offset: Int) {
    self.width = width
    self.height = height
    self.lineByteCount = lineByteCount
    self.offset = offset
  }
}
