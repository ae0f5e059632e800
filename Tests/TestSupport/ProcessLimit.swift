import Glibc

/// Limits of this process, as `ulimit` sets them. For the processes of exit tests only: all threads
/// have the same.
public enum ProcessLimit: UInt32, Sendable {
  // The numbers of setrlimit(2).
  case fileSize = 1
  case openFiles = 7
  case addressSpace = 9

  public struct Failure: Error {
    public init() {}
  }

  /// Sets the soft limit; nil takes it away.
  public func set(_ value: UInt64?) throws {
    var limit = rlimit()
    let resource = __rlimit_resource_t(rawValue)
    // SAFETY: the limit lives for the calls.
    guard unsafe getrlimit(resource, &limit) == 0 else { throw Failure() }
    limit.rlim_cur = min(rlim_t(value ?? .max), limit.rlim_max)
    guard unsafe setrlimit(resource, &limit) == 0 else { throw Failure() }
  }
}
