package import DeviceKit
package import GuestMemory
internal import HostSystem

/// What is on VMBus in every machine that has it: the integration services, and Dynamic Memory.
///
/// Any thread.
package final class VMBusServices: Sendable {
  package let host: VMBusHost
  private let shutdown = ShutdownService()
  private let heartbeat = HeartbeatService()
  private let time = TimeService(nanosecondsSince1970: HostClock.nanosecondsSince1970)

  /// - Parameters:
  ///   - balloon: what Dynamic Memory serves; nil for a machine without it.
  ///   - growth: what adds memory.
  ///   - vpCount: how many virtual processors there are.
  package init(
    balloon: Balloon?, vpCount: Int, memory: GuestMemory, growth: (any GuestMemoryGrowth)? = nil,
    port: any VMBusPort,
    onThreadStart: @escaping @Sendable () -> Void
  ) throws(DeviceError) {
    var devices: [any VMBusDevice] = [heartbeat, shutdown, time]
    if let balloon {
      devices.append(
        DynamicMemory(balloon, growth: growth, clock: HostClock.monotonicNanoseconds))
    }
    host = try VMBusHost(
      devices, vpCount: vpCount, memory: memory, port: port,
      clock: HostClock.monotonicNanoseconds, onThreadStart: onThreadStart)
  }

  /// Asks the guest's operating system to power off.
  ///
  /// - Returns: false if it has no driver for that.
  package func requestShutdown() -> Bool { shutdown.request() }

  /// What its drivers do.
  package var activity: VMBusActivity {
    let heartbeat = heartbeat.activity
    return VMBusActivity(
      openChannelCount: host.openChannelCount,
      heartbeat: heartbeat.isOpen
        ? .init(answerCount: heartbeat.answerCount, missedCount: heartbeat.missedCount) : nil,
      canShutDown: shutdown.activity.isOpen)
  }
}

/// What a guest does with VMBus. A thread-safe value.
public struct VMBusActivity: Hashable, Sendable {
  /// What the guest answers every two seconds.
  public struct Heartbeat: Hashable, Sendable {
    /// So far.
    public let answerCount: UInt64
    /// In a row, without an answer.
    public let missedCount: UInt64
  }

  /// Devices with a driver.
  public let openChannelCount: Int
  /// Nil if no driver is there.
  public let heartbeat: Heartbeat?
  /// Whether the guest would hear of a request to power off.
  public let canShutDown: Bool
}
