internal import GuestMemory

/// What all threads of a controller share, under one lock.
struct NVMeState: Sendable {
  var registers = NVMeRegisters()
  var queues: NVMeQueueSet
  var features: NVMeFeatures
  /// Whether event indices ask for each head: `queues.tellsEachHead`, as soon as memory is in
  /// reach.
  var asksForHeads = true
  /// Event requests that wait for an event, which never comes.
  var parkedEventCount = 0
  /// Commands fetched and not finished.
  var inFlightCount = 0
  /// *CC.EN* became 0 and commands are still in flight: *CSTS.RDY* waits for them.
  var isStopping = false
  /// The whole function is reset, and answers again when those commands are done.
  var isFunctionReset = false

  init(pairCount: Int) {
    queues = NVMeQueueSet(pairCount: pairCount)
    features = NVMeFeatures(pairCount: pairCount)
  }

  /// Whether queues are served.
  var isRunning: Bool {
    registers.isReady && !isStopping && !registers.isFailed
  }

  /// Follows whether MSI-X is on.
  ///
  /// - Parameter memory: where the guest is asked for its heads; nil while it is out of reach, and
  ///   this comes again when it no longer is.
  mutating func usesMSIX(_ isEnabled: Bool, _ memory: GuestMemory?) {
    queues.tellsEachHead = !isEnabled
    guard let memory, asksForHeads == isEnabled else { return }
    asksForHeads = !isEnabled
    for queue in queues.completion.indices where queues.completion[queue] != nil {
      queues.completion[queue]?.eventIndex = nil
      queues.followHead(queue, memory)
    }
  }
}
