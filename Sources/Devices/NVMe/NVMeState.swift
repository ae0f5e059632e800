internal import GuestMemory

/// What all threads of a controller share, under one lock.
struct NVMeState: Sendable {
  var registers = NVMeRegisters()
  var queues: NVMeQueueSet
  var features: NVMeFeatures
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

  /// MSI-X was turned on or off.
  mutating func usesMSIX(_ isEnabled: Bool, _ memory: GuestMemory) {
    guard queues.tellsEachHead == isEnabled else { return }
    queues.tellsEachHead = !isEnabled
    for queue in queues.completion.indices where queues.completion[queue] != nil {
      queues.completion[queue]?.eventIndex = nil
      queues.followHead(queue, memory)
    }
  }
}
