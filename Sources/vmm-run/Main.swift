import VMMCommand

/// All of it is in the library, so that tests and fuzzing build it as it is.
@main struct Main {
  static func main() {
    VMMRun.main()
  }
}
