internal import CLibFuzzer
internal import Glibc

/// Runs one target under libFuzzer: `fuzz --target=NAME [libFuzzer's arguments]`, or lists all of
/// them: `fuzz --list`.
///
/// libFuzzer ignores arguments with two dashes, and hands them on to the processes that it starts
/// itself (`-merge=1`, `-fork=1`): so the target's name reaches those too.
@main struct Fuzz {
  private static let targetArgument = "--target="

  /// Made once, before the first input.
  ///
  /// Safe though it is not `Sendable`: libFuzzer runs all inputs on the thread that called it.
  private nonisolated(unsafe) static let target = makeTarget()

  static func main() {
    if CommandLine.arguments.contains("--list") {
      for target in FuzzTargets.all { print(target.name) }
      return
    }
    _ = unsafe target
    let replayed = SandboxedReplay.directories
    if !replayed.isEmpty {
      do {
        try unsafe SandboxedReplay.run(target, replayed)
      } catch {
        fatalError("\(error)")
      }
    }
    // The defaults come first, so that what is given wins.
    var words = CommandLine.arguments
    words.insert(contentsOf: defaults, at: 1)
    var count = Int32(words.count)
    var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
    // SAFETY: the array is terminated, and lives until the call, which never keeps it, is over.
    let status = unsafe arguments.withUnsafeMutableBufferPointer { arguments in
      var start = arguments.baseAddress!
      return unsafe LLVMFuzzerRunDriver(&count, &start) { bytes, count in
        // SAFETY: libFuzzer lends `count` bytes for the call.
        let bytes = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
        unsafe Fuzz.target.run(FuzzInput(Array(bytes)))
        return 0
      }
    }
    exit(status)
  }

  /// An input may take 20 seconds, on a busy machine, and the process 1 GiB before libFuzzer calls
  /// it a hang or a leak. Leaks are not looked for at exit: what a target shares between inputs
  /// lives until then.
  private static var defaults: [String] {
    [
      "-max_len=\(type(of: unsafe target).maximumInputByteCount)", "-timeout=20",
      "-rss_limit_mb=1024", "-detect_leaks=0",
    ]
  }

  private static func makeTarget() -> any FuzzTarget {
    let name = CommandLine.arguments.dropFirst().first { $0.hasPrefix(targetArgument) }?
      .dropFirst(targetArgument.count)
    guard let name, let type = FuzzTargets.all.first(where: { $0.name == name }) else {
      let message = "fuzz: give \(targetArgument) with one of --list\n"
      _ = unsafe write(2, message, message.utf8.count)
      exit(2)
    }
    do {
      return try type.init()
    } catch {
      fatalError("target \(name): \(error)")
    }
  }
}
