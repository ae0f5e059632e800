internal import Devices
internal import HostSystem
internal import MachineSpecification
internal import VMM

/// Moves what a guest is to have as `MemoryPolicy` says: `--memory-policy auto`.
///
/// Its thread looks each five seconds. What a client sets by `vm.resize` is where it goes on from.
final class MemoryTuner: Sendable {
  private static let secondsBetweenSamples = 5
  /// A driver of Dynamic Memory reports each second, one of virtio when it is asked.
  private static let oldestStatistics = 15.0

  private let balloon: Balloon
  private let memory: MemorySpec
  private let pressure: HostPressure
  private let ends: Event
  private let thread = Guarded<HostThread?>(nil)

  /// Opens what the host says. Before the sandbox closes.
  init(_ balloon: Balloon, _ memory: MemorySpec) throws(MachineError) {
    guard let pressure = HostPressure() else {
      throw .unavailable(
        what: "--memory-policy auto: this kernel does not say how short of memory it is"
          + " (\(HostPressure.path))",
        cure: "use one with CONFIG_PSI, and psi=1 on its command line")
    }
    self.balloon = balloon
    self.memory = memory
    self.pressure = pressure
    do throws(Errno) {
      ends = try Event()
    } catch {
      throw .unavailable(
        what: "cannot make an event: \(error)", cure: "raise the limit of open files (ulimit -n)")
    }
  }

  /// Starts to look, in the sandbox.
  func begin(onThreadStart: @escaping @Sendable () -> Void) throws(MachineError) {
    do throws(HostThread.Failure) {
      let thread = try HostThread { [self] in
        onThreadStart()
        var policy = MemoryPolicy(
          start: memory.byteCount.bytes, maximum: memory.largest.bytes)
        while !ends.wait(seconds: Self.secondsBetweenSamples) { look(&policy) }
      }
      self.thread.withLock { $0 = thread }
    } catch {
      throw .noThread("a thread", code: error.code)
    }
  }

  /// Ends it; nothing is moved any more.
  func end() {
    ends.raise()
    thread.withLock { $0 }?.join()
  }

  private func look(_ policy: inout MemoryPolicy) {
    let activity = balloon.activity
    guard activity.hasDriver else { return }
    let sample = Self.sample(activity, start: memory.byteCount.bytes, pressure.perMille)
    if let size = policy.next(sample) { balloon.setSize(memory.size(size)) }
  }

  /// What the guest has, whatever it is to have: it may not follow.
  static func sample(
    _ activity: BalloonActivity, start: UInt64, _ hostPressure: UInt64?
  ) -> MemoryPolicy.Sample {
    let page = UInt64(Balloon.pageByteCount)
    let total = start + UInt64(activity.addedPageCount) * page
    var available: UInt64?
    if let statistics = activity.statistics,
      activity.statisticsAgeSeconds <= oldestStatistics
    {
      available = statistics[.available] ?? statistics[.free]
    }
    return MemoryPolicy.Sample(
      size: total - min(UInt64(activity.actualPageCount) * page, total), available: available,
      hostPressure: hostPressure)
  }
}

/// Who says how much memory a guest is to have.
enum MemoryPolicyChoice: String, CaseIterable, Sendable, Codable, SpecChoice {
  /// Nobody but `--memory`, `--balloon` and `vm.resize`.
  case fixed
  /// What the guest has available, and what the host lacks.
  case auto
}
