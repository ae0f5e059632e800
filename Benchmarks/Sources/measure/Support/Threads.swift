import Dispatch

/// Does the same on several threads at once.
enum Threads {
  /// How long it takes until the last is done.
  static func time<Work: Sendable>(
    _ works: [Work], _ body: @Sendable (Work) -> Void
  ) throws -> Duration {
    let clock = ContinuousClock()
    let start = clock.now
    if works.count == 1 {
      body(works[0])
    } else {
      DispatchQueue.concurrentPerform(iterations: works.count) { body(works[$0]) }
    }
    return start.duration(to: clock.now)
  }
}
