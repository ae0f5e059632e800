internal import Bytes
public import DeviceKit
internal import GuestMemory
internal import HostSystem

/// A memory balloon (virtio 1.2 §5.5): what its driver gives up or reports free goes back to the
/// host, on a thread of its own (`VirtioBalloonServer`).
final class VirtioBalloon: VirtioModel, BalloonDevice {
  /// What a queue is for.
  enum Purpose {
    case inflate
    case deflate
    case statistics
    case reporting
  }

  /// *struct virtio_balloon_config*.
  private enum Offset {
    static let target = 0
    static let actual = 4
    /// *free_page_hint_cmd_id* is before it: 0, as nothing is hinted.
    static let poison = 12
    static let end = 16
  }

  /// What the driver chose.
  struct Driver: Sendable {
    var features: VirtioFeatures = []
    /// *poison_val*: what free pages are filled with.
    var poison: UInt32 = 0
    /// The buffer for statistics, while the device has it: the answer asks the driver for new ones.
    /// Set and taken with the queue's lock held, so none outlives a reset of it.
    var statistics: VirtioChain?

    /// Whether a free page's bytes may become zeros.
    var allowsZeroedPages: Bool { !features.contains(.pagePoison) || poison == 0 }

    /// What a queue is for: one of a feature that the driver did not take has no number (§5.5.2).
    func purpose(of queue: Int) -> Purpose? {
      var purposes: [Purpose] = [.inflate, .deflate]
      if features.contains(.balloonStatistics) { purposes.append(.statistics) }
      if features.contains(.pageReporting) { purposes.append(.reporting) }
      return purposes.indices.contains(queue) ? purposes[queue] : nil
    }
  }

  /// Linux wants room for reports of 32 pages, and gives up 256 pages at a time.
  private static let queueSize: UInt16 = 128
  static let description = VirtioDescription(
    type: 5, classCode: 0xFF_0000, features: .ofBalloon,
    queueSizes: [queueSize, queueSize, queueSize, queueSize])
  /// Behind the queues in the list of work: new statistics are wanted.
  static let statisticsWork = description.queueSizes.count

  let link: VirtioLink
  let balloon: Balloon
  let driver = Guarded(Driver())
  let work = WorkList(count: statisticsWork + 1)
  private let threads: DeviceThreads

  init(
    _ link: VirtioLink, _ balloon: Balloon, onThreadStart: @escaping @Sendable () -> Void
  ) {
    self.link = link
    self.balloon = balloon
    threads = DeviceThreads(work, onStart: onThreadStart)
  }

  // MARK: Life

  func start() throws(DeviceError) {
    balloon.attach(self)
    for queue in link.queues.indices { work.add(queue) }
    try threads.start(count: 1, kind: "memory balloon") { [self] in
      var server = VirtioBalloonServer(self)
      while let item = work.next() { server.serve(item) }
    }
  }

  func stop() {
    balloon.detach(self)
    threads.stop()
  }

  func pause() throws(StateError) {
    try threads.pause()
  }

  func resume() {
    threads.resume()
  }

  /// The target is saved too: a guest that was given it goes on with it.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {
    // What is in it is the restored machine's from now on, and not anew at its start.
    if transfer.isRestoring { balloon.attach(self) }
    try balloon.transfer(&transfer)
    // Before the driver's lock, which is taken with a queue's held.
    let entryCounts = link.queues.map(\.entryCount)
    try driver.withLock { driver throws(StateError) in
      try transfer.value(&driver.features)
      try transfer.check(
        driver.features.isSubset(of: Self.description.features.union(.ofTransport)),
        "features that were not offered")
      try transfer.integer(&driver.poison)
      let index = entryCounts.indices.first { driver.purpose(of: $0) == .statistics }
      let entryCount = index.map { entryCounts[$0] } ?? 0
      // A queue that ended by a fault will have no answer.
      if !transfer.isRestoring, entryCount == 0 { driver.statistics = nil }
      try transfer.optional(&driver.statistics, new: VirtioChain()) {
        (transfer, chain) throws(StateError) in
        guard entryCount > 0 else { throw .invalid("a buffer of no queue") }
        try chain.transfer(&transfer, entryCount: entryCount)
      }
    }
  }

  // MARK: The host

  func targetChanged() {
    link.configurationChanged()
  }

  func statisticsWanted() {
    work.add(Self.statisticsWork)
  }

  // MARK: The driver

  var configuration: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Offset.end)
    let (target, actual) = balloon.pageCounts
    bytes.storeLE(target, at: Offset.target)
    bytes.storeLE(actual, at: Offset.actual)
    bytes.storeLE(driver.withLock { $0.poison }, at: Offset.poison)
    return bytes
  }

  func writeConfiguration(_ offset: Int, width: Int, value: UInt64) {
    let word = UInt32(truncatingIfNeeded: value)
    switch (offset, width) {
    case (Offset.actual, 4): balloon.note { $0.actualPageCount = word }
    case (Offset.poison, 4): driver.withLock { $0.poison = word }
    default: break
    }
  }

  func driverStarted(_ features: VirtioFeatures) {
    driver.withLock { $0.features = features }
    balloon.note { $0.hasDriver = true }
  }

  func driverStopped() {
    driver.withLock { $0 = Driver() }
    balloon.note { activity in
      (activity.hasDriver, activity.actualPageCount, activity.statistics) = (false, 0, nil)
    }
  }

  func queueStopped(_ queue: Int) {
    driver.withLock { driver in
      if driver.purpose(of: queue) == .statistics { driver.statistics = nil }
    }
  }

  func notify(_ queue: Int) {
    work.add(queue)
  }
}

extension VirtioPCIDevice {
  /// A memory balloon.
  public static func balloon(_ balloon: Balloon, context: PCIContext) -> VirtioPCIDevice {
    VirtioPCIDevice(VirtioBalloon.description, context: context) { link in
      VirtioBalloon(link, balloon, onThreadStart: context.onThreadStart)
    }
  }
}
