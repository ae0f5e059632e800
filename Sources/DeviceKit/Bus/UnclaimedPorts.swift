internal import Glibc
internal import Synchronization

/// Counts the accesses to ports that no device claims: a counter for each port and direction.
///
/// All are allocated when the bus is made. vCPU threads count, and a table that grew with what the
/// guest tries would have them allocate, and give large blocks back, as the guest likes.
///
/// Sendable: the memory is there as long as self, and atomic operations alone change it.
@safe final class UnclaimedPorts: @unchecked Sendable {
  /// For each port reads, then writes.
  private static let count = 2 * 65536
  private let counters: UnsafeMutablePointer<Atomic<UInt64>>

  init() {
    // 1 MiB. Zeroed pages of the kernel, which stay absent until they are counted in.
    guard let memory = unsafe calloc(Self.count, MemoryLayout<Atomic<UInt64>>.stride) else {
      preconditionFailure("no memory for \(Self.count) counters")
    }
    // SAFETY: large enough, aligned to 16 bytes, and the bytes of an atomic integer are the
    // integer's.
    unsafe counters = memory.bindMemory(to: Atomic<UInt64>.self, capacity: Self.count)
  }

  deinit {
    // Integers need no deinitialisation.
    unsafe free(counters)
  }

  func count(port: UInt16, isWrite: Bool) {
    // Cannot wrap: at a billion exits a second it would take 584 years.
    unsafe counter(port, isWrite).pointee.wrappingAdd(1, ordering: .relaxed)
  }

  /// Each port and direction that was used once, ascending by port, reads before writes.
  var accesses: [UnclaimedAccess] {
    var accesses: [UnclaimedAccess] = []
    for port in UInt16.min...UInt16.max {
      for isWrite in [false, true] {
        let count = unsafe counter(port, isWrite).pointee.load(ordering: .relaxed)
        guard count > 0 else { continue }
        accesses.append(UnclaimedAccess(port: port, isWrite: isWrite, count: count))
      }
    }
    return accesses
  }

  private func counter(_ port: UInt16, _ isWrite: Bool) -> UnsafeMutablePointer<Atomic<UInt64>> {
    // SAFETY: below `count` for every port.
    unsafe counters + (2 * Int(port) + (isWrite ? 1 : 0))
  }
}

/// How often the guest read or wrote a port that no device claims.
public struct UnclaimedAccess: Hashable, Sendable, CustomStringConvertible {
  /// The access's first port.
  public let port: UInt16
  /// Whether it is `out`; otherwise `in`.
  public let isWrite: Bool
  /// Accesses of any width since the bus was made, at least 1.
  public let count: UInt64

  /// A count of accesses in one direction.
  public init(port: UInt16, isWrite: Bool, count: UInt64) {
    self.port = port
    self.isWrite = isWrite
    self.count = count
  }

  /// The direction, port and count: `read of port 0x61: 3`.
  public var description: String {
    "\(isWrite ? "write to" : "read of") port 0x\(String(port, radix: 16)): \(count)"
  }
}
