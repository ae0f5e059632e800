import Glibc

/// What every result names: processor and kernel.
enum Host {
  static var description: String {
    "\(kernel), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) x \(processor)"
  }

  private static var kernel: String {
    "\(line(1, of: "/proc/sys/kernel/ostype")) \(line(1, of: "/proc/sys/kernel/osrelease"))"
  }

  private static var processor: String {
    let key = "model name"
    for number in 1...16 {
      let text = line(number, of: "/proc/cpuinfo")
      guard text.hasPrefix(key), let colon = text.firstIndex(of: ":") else { continue }
      return String(text[text.index(colon, offsetBy: 2)...])
    }
    return "unknown processor"
  }

  /// One line of a small file, without its end; empty when there is none.
  private static func line(_ number: Int, of path: String) -> String {
    guard let file = unsafe fopen(path, "r") else { return "" }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe fread(&bytes, 1, bytes.count, file)
    let lines = bytes[..<count].split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    return number <= lines.count ? String(decoding: lines[number - 1], as: UTF8.self) : ""
  }
}
