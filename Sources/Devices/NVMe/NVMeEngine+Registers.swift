internal import DeviceKit
internal import GuestMemory
internal import HostSystem

// What vCPU threads do: registers and doorbells. Nothing here waits for the back-end but `reset`.
extension NVMeEngine {
  /// Reads registers; doorbells and what is not there read 0.
  func read(offset: UInt64, width: Int) -> UInt64 {
    state.withLock { state in
      let low = offset & ~3
      let value = UInt64(state.registers.read(low)) | UInt64(state.registers.read(low + 4)) << 32
      return value >> (8 * (offset & 3))
    }
  }

  /// Writes registers, 4 or 8 bytes at a multiple of 4; others are dropped, as the specification
  /// knows no narrower ones.
  func write(offset: UInt64, width: Int, value: UInt64) {
    guard width >= 4, offset % 4 == 0 else { return }
    let waiting = state.withLock { state in
      var waiting: [Int] = []
      for half in 0..<UInt64(width / 4) {
        let value = UInt32(truncatingIfNeeded: value >> (32 * half))
        writeHalf(offset + 4 * half, value, &state, &waiting)
      }
      updatePin(state)
      return waiting
    }
    addWork(waiting)
  }

  private func writeHalf(
    _ offset: UInt64, _ value: UInt32, _ state: inout NVMeState, _ waiting: inout [Int]
  ) {
    guard offset < NVMeRegisters.doorbells else {
      // The last 8-byte write reaches past the doorbells; there is no such queue.
      ringDoorbell(Int(offset - NVMeRegisters.doorbells) / 4, value, &state, &waiting)
      return
    }
    switch state.registers.write(offset, value) {
    case .none, .mask: break
    case .enable: start(&state)
    case .disable: stop(&state)
    }
  }

  /// A doorbell of no queue, or with a place outside it, is dropped.
  private func ringDoorbell(
    _ number: Int, _ value: UInt32, _ state: inout NVMeState, _ waiting: inout [Int]
  ) {
    let queue = number / 2
    guard state.isRunning, queue < state.queues.submission.count else { return }
    if number % 2 == 0 {
      // Commands may be gone already, found in a shadow doorbell, or about to be.
      if state.queues.ringTail(queue, value, endpoint.memory),
        let ring = state.queues.submission[queue],
        !ring.isEmpty, !ring.isPolled
      {
        waiting.append(queue)
      }
    } else {
      waiting += state.queues.ringHead(queue, value, endpoint.memory)
    }
  }

  /// Follows a write of the command register or of MSI-X's control.
  func configurationChanged() {
    let queues = state.withLock { state in
      state.usesMSIX(endpoint.usesMSIX, endpoint.memory)
      updatePin(state)
      // Commands may have waited for *Bus Master*.
      return state.queues.submission.indices.filter { state.queues.submission[$0] != nil }
    }
    addWork(queues)
  }

  /// Whether commands may read or write guest memory.
  var hasCommandsInFlight: Bool { state.withLock { $0.inFlightCount > 0 } }

  /// Makes everything as after power-on. From now on nothing is fetched or completed; when the
  /// commands in flight have left guest memory alone, maybe at once, the function's configuration
  /// answers again.
  func functionLevelReset() {
    state.withLock { state in
      state.isFunctionReset = true
      state.registers = NVMeRegisters()
      stop(&state)
      updatePin(state)
    }
  }

  /// The same, and waits for the commands in flight; no vCPU runs meanwhile.
  func reset() {
    functionLevelReset()
    while true {
      // Before the look: a stop that ends after it changes the count.
      let seen = stopCount.load()
      guard state.withLock({ $0.isStopping }) else { break }
      stopCount.wait(while: seen)
    }
  }
}
