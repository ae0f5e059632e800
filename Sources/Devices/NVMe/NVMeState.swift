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

  init(pairCount: Int) {
    queues = NVMeQueueSet(pairCount: pairCount)
    features = NVMeFeatures(pairCount: pairCount)
  }

  /// Whether queues are served.
  var isRunning: Bool {
    registers.isReady && !isStopping && !registers.isFailed
  }
}
