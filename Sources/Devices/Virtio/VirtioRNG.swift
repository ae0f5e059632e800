public import DeviceKit
internal import GuestMemory
internal import HostSystem

/// A source of random numbers (virtio 1.2 §5.4): fills what its driver gives with the host's
/// (getrandom(2)), on a thread of its own.
final class VirtioRNG: VirtioModel {
  /// What one request gets at most; drivers ask again.
  static let maximumByteCount = 4096
  static let description = VirtioDescription(
    type: 4, classCode: 0xFF_0000, queueSizes: [8])

  let work = WorkList(count: 1)
  private let queue: VirtioQueue
  private let threads: DeviceThreads
  /// Filled anew for each request.
  private let chain = Guarded(VirtioChain())

  init(_ link: VirtioLink, onThreadStart: @escaping @Sendable () -> Void) {
    queue = link.queues[0]
    threads = DeviceThreads(work, onStart: onThreadStart)
  }

  func start() throws(DeviceError) {
    work.add(0)
    try threads.start(count: 1, kind: "random number") { [self] in
      while work.next() != nil { serve() }
    }
  }

  func stop() {
    threads.stop()
  }

  func pause() throws(StateError) {
    try threads.pause()
  }

  func resume() {
    threads.resume()
  }

  /// All that there is is in the queue.
  func transferState(_ transfer: inout StateTransfer) throws(StateError) {}

  func notify(_ queue: Int) {
    work.add(0)
  }

  /// Serves on the calling thread what waits: a device without threads does so in fuzzing.
  func serveIfWaiting() {
    while work.nextIfWaiting() != nil { serve() }
  }

  /// One request at a time, so that a reset waits for no more than that.
  private func serve() {
    chain.withLock { chain in
      while !work.isOver, serveOne(&chain) {}
    }
  }

  private func serveOne(_ chain: inout VirtioChain) -> Bool {
    queue.work { (queue, memory) throws(VirtqueueFault) in
      try Self.serveOne(&queue, &chain, memory)
    } ?? false
  }

  /// - Returns: whether there may be more requests.
  private static func serveOne(
    _ queue: inout Virtqueue, _ chain: inout VirtioChain, _ memory: GuestMemory
  ) throws(VirtqueueFault) -> Bool {
    guard try queue.take(&chain, memory) else { return try queue.arm(memory) }
    var rest = maximumByteCount
    for piece in chain.writable where rest > 0 {
      let isFilled = memory.withMutableBytes(
        at: piece.start, byteCount: min(piece.byteCount, rest)
      ) { (bytes: inout MutableRawSpan) -> Int? in
        (try? HostRandom.fill(&bytes)) == nil ? nil : bytes.byteCount
      }
      guard let count = isFilled ?? nil else { break }
      rest -= count
    }
    try queue.put(chain, byteCount: maximumByteCount - rest, memory)
    return true
  }
}

extension VirtioPCIDevice {
  /// A source of random numbers, the host's.
  public static func randomNumbers(context: PCIContext) -> VirtioPCIDevice {
    VirtioPCIDevice(VirtioRNG.description, context: context) { link in
      VirtioRNG(link, onThreadStart: context.onThreadStart)
    }
  }
}
