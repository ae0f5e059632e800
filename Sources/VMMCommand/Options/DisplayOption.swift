internal import Devices

/// The size that the display's monitor prefers, as `--display` names it: `1280x800`.
struct DisplayOption: Hashable, Sendable {
  var width: Int
  var height: Int

  init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  init(parsing text: String) throws(UsageError) {
    let numbers = text.split(separator: "x", omittingEmptySubsequences: false).map { part in
      // No sign, which `Int` takes.
      part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil
    }
    guard numbers.count == 2, let width = numbers[0], let height = numbers[1],
      BochsDisplay.widths.contains(width), BochsDisplay.heights.contains(height)
    else {
      throw .invalidDisplay(
        option: OptionDefinition.display.name, text, widths: BochsDisplay.widths,
        heights: BochsDisplay.heights)
    }
    self.init(width: width, height: height)
  }
}
