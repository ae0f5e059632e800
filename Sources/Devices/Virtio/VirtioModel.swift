package import DeviceKit

/// What a virtio device is, before its driver comes.
package struct VirtioDescription: Sendable {
  /// *Virtio Device ID* (virtio 1.2 §5): 1 for a network card, 4 for an entropy source, 5 for a
  /// memory balloon.
  package var type: UInt16
  /// PCI class, as `PCIIdentity` has it.
  package var classCode: UInt32
  /// What it can beside what all devices here can.
  package var features: VirtioFeatures
  /// The most entries of each queue: powers of two up to 1024.
  package var queueSizes: [UInt16]

  package init(
    type: UInt16, classCode: UInt32, features: VirtioFeatures = [], queueSizes: [UInt16]
  ) {
    precondition(
      !queueSizes.isEmpty && queueSizes.count <= VirtioTransport.maximumQueueCount
        && queueSizes.allSatisfy { $0.nonzeroBitCount == 1 && $0 <= 1024 },
      "virtqueues of \(queueSizes)")
    self.type = type
    self.classCode = classCode
    self.features = features
    self.queueSizes = queueSizes
  }
}

/// What is behind a virtio device's queues: requests are taken from `VirtioLink.queues` on threads
/// of its own.
///
/// It may be restored before `start`: then it looks into all queues when it starts, as nobody
/// notifies it of what was there before. Its `transferState` comes after that of the queues.
///
/// Everything but `start` and `stop` is called on vCPU threads, for which nothing may wait.
package protocol VirtioModel: Device {
  /// The device's configuration (virtio 1.2 §2.5) now; of the same length always, 256 bytes at
  /// most.
  var configuration: [UInt8] { get }

  /// The driver writes a field of its configuration.
  func writeConfiguration(_ offset: Int, width: Int, value: UInt64)

  /// The driver is ready, and queues can be worked on: *DRIVER_OK*.
  func driverStarted(_ features: VirtioFeatures)

  /// The device is reset: queues are gone already. Everything as after power-on.
  func driverStopped()

  /// One queue is reset alone: it is gone already, and may begin anew.
  func queueStopped(_ queue: Int)

  /// The driver has put requests into a queue, or may have.
  func notify(_ queue: Int)
}

extension VirtioModel {
  /// None.
  package var configuration: [UInt8] { [] }

  /// Does nothing: no field is the driver's.
  package func writeConfiguration(_ offset: Int, width: Int, value: UInt64) {}

  /// Does nothing.
  package func driverStarted(_ features: VirtioFeatures) {}

  /// Does nothing.
  package func driverStopped() {}

  /// Does nothing.
  package func queueStopped(_ queue: Int) {}
}

/// A model's way to its driver. Any thread.
package struct VirtioLink: Sendable {
  /// In the order of `VirtioDescription.queueSizes`.
  package let queues: [VirtioQueue]
  let signals: VirtioSignals

  /// Announces that `VirtioModel.configuration` is another now.
  package func configurationChanged() {
    signals.announceConfiguration()
  }
}
