/// A condition that did not come.
package struct NeverCame: Error {}

/// Waits until a condition holds, on any thread.
///
/// - Throws: `NeverCame` after a time that even a loaded machine does not need; what the condition
///   throws.
package func waitUntil(seconds: Int = 60, _ condition: () throws -> Bool) throws {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while try !condition() {
    guard ContinuousClock.now < deadline else { throw NeverCame() }
    TestThreads.nap(microseconds: 100)
  }
}
