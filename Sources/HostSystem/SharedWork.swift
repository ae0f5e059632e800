internal import CLinux
internal import Synchronization

/// Work in numbered parts that several threads do together, as nothing can go on before all of it
/// is done.
public enum SharedWork {
  /// How many processors this thread may run on (sched_getaffinity(2)); 1 if the kernel does not
  /// say.
  public static var availableProcessorCount: Int {
    max(Int(clinux_processor_count()), 1)
  }

  /// Does all parts, on the calling thread and on as many more as are worth it, all of which have
  /// ended when it returns. Where the host gives no thread, it does with fewer.
  ///
  /// - Parameters:
  ///   - count: parts 0 to `count - 1`, begun in that order.
  ///   - threadCount: at most so many threads, the calling one included.
  ///   - work: does one; false, and no further part is begun. Any of the threads.
  public static func perform(
    _ count: Int, on threadCount: Int, work: @Sendable (_ part: Int) -> Bool
  ) {
    let progress = Progress()
    withoutActuallyEscaping(work) { work in
      let loop: @Sendable () -> Void = {
        while let part = progress.next(of: count) {
          if !work(part) { progress.stop() }
        }
      }
      var helpers: [HostThread] = []
      for _ in 0..<max(min(threadCount, count) - 1, 0) {
        guard let helper = try? HostThread(loop) else { break }
        helpers.append(helper)
      }
      loop()
      for helper in helpers { helper.join() }
    }
  }

  private final class Progress: Sendable {
    private let begun = Atomic<Int>(0)
    private let hasStopped = Atomic<Bool>(false)

    func next(of count: Int) -> Int? {
      guard !hasStopped.load(ordering: .relaxed) else { return nil }
      let part = begun.wrappingAdd(1, ordering: .relaxed).oldValue
      return part < count ? part : nil
    }

    func stop() { hasStopped.store(true, ordering: .relaxed) }
  }
}
