internal import Glibc
internal import Synchronization

/// How many writers are inside, in 16 counters so that threads seldom share a cache line.
struct WriterCounters: ~Copyable {
  /// A counter alone in 128 bytes: CPUs fetch cache lines of 64 bytes in pairs.
  struct Counter: ~Copyable {
    let value = Atomic<Int>(0)
    private let padding: [15 of Int] = .init(repeating: 0)
  }

  static let stripeCount = 16
  let stripes: [16 of Counter] = .init { _ in Counter() }

  /// A number below `stripeCount`, always the same on one thread.
  static func stripeOfThisThread() -> Int {
    // Threads' control blocks are page aligned or nearly so; the bits above tell them apart.
    let thread = UInt(pthread_self())
    return Int((thread >> 12 ^ thread >> 20) % UInt(stripeCount))
  }

  /// Whether nobody is inside; meaningful only while nobody can come in.
  var areAllZero: Bool {
    for index in stripes.indices
    where stripes[index].value.load(ordering: .sequentiallyConsistent) != 0 {
      return false
    }
    return true
  }
}
