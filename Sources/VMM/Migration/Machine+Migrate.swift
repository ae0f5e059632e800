internal import Bytes
internal import DeviceKit
internal import GuestMemory
internal import HostSystem
internal import KVM

extension Machine {
  /// How long the destination may take to become such a machine, its memory included.
  private static let acceptSeconds = 300
  /// What a connection is taken to do at least.
  private static let leastBytesPerSecond = 16e6
  /// How long the guest stands still for a destination that does not answer.
  private static let switchSeconds = 10

  /// Moves a machine that runs to a process that receives it (`MigrationReceiver`). Any thread but
  /// a vCPU's; one at a time.
  ///
  /// Until the destination has said that it has everything, whatever fails leaves this machine as
  /// it was, for the caller to resume. After success it never runs again, and neither do its
  /// devices: it ends as stopped. After `.unknown` it stands still, and only somebody who has
  /// looked at the destination may go on with it, by `takeBack`.
  ///
  /// - Parameters:
  ///   - descriptor: a connected stream socket, open until this returns.
  ///   - offer: what the caller adds to what the destination is to know before memory comes.
  public func migrate(
    over descriptor: Int32, offer: SavedMachine = SavedMachine(),
    settings: MigrationSettings = MigrationSettings(), hooks: MigrationHooks
  ) throws(MigrationError) -> MigrationReport {
    guard !offersNesting else { throw .machine("a machine with nested guests cannot move") }
    growth.hold()
    defer { growth.release() }
    let channel = try MigrationChannel(descriptor) { [control] in
      hooks.goesOn() && !control.isEnding
    }
    defer { channel.close() }
    let start = HostClock.monotonicNanoseconds()
    do throws(MigrationError) {
      try self.offer(offer, over: channel)
      let sender = MemorySender(memory, dirtyLog, channel)
      defer { sender.end() }
      try sender.begin()
      let roundCount = try precopy(sender, channel, settings, hooks)
      return try handOver(sender, channel, hooks, start: start, roundCount)
    } catch .cancelled where control.isEnding {
      throw .machine("the machine ended before it had moved")
    }
  }

  /// Goes on with a machine whose move ended with `.unknown`: its devices do.
  public func takeBack() { computer?.resumeDevices() }

  private func offer(
    _ offer: SavedMachine, over channel: MigrationChannel
  ) throws(MigrationError) {
    var offer = offer
    try saving { () throws(SavedMachineError) in try addKind(to: &offer.state) }
    let bytes = offer.encoded
    guard bytes.count <= MigrationFrame.Kind.offer.maximumByteCount else {
      throw .machine("the machine's description has \(bytes.count) bytes, which is too long")
    }
    try channel.sendSignature()
    try channel.send(.offer, bytes)
    try channel.receive(.accepted, patienceSeconds: Self.acceptSeconds)
  }

  /// Sends memory while the guest runs, until what is left is little enough.
  ///
  /// - Returns: how often it was gone through.
  private func precopy(
    _ sender: MemorySender, _ channel: MigrationChannel, _ settings: MigrationSettings,
    _ hooks: MigrationHooks
  ) throws(MigrationError) -> Int {
    var progress = MigrationProgress()
    hooks.onProgress(progress)
    while true {
      let (before, begin) = (channel.byteCount, HostClock.monotonicNanoseconds())
      if progress.round == 1 { try sender.sendAll() } else { try sender.sendPending() }
      let nanoseconds = max(1, HostClock.monotonicNanoseconds() &- begin)
      let sent = Double(channel.byteCount - before)
      // A round with next to nothing in it says nothing of the connection.
      let rate: Double = max(sent * 1e9 / Double(nanoseconds), Self.leastBytesPerSecond)
      try sender.collect()
      progress.sentByteCount = channel.byteCount
      progress.remainingByteCount = sender.remainingByteCount
      let needed = Double(progress.remainingByteCount) * 1000 / rate
      if needed <= Double(settings.downtimeMilliseconds) / 2 { return progress.round }
      if progress.round >= settings.maximumRoundCount {
        guard settings.stopsAnyway else {
          throw .tooBusy(
            remainingByteCount: progress.remainingByteCount, bytesPerSecond: UInt64(rate))
        }
        return progress.round
      }
      progress.round += 1
      hooks.onProgress(progress)
    }
  }

  /// Stops the guest here and has it go on there.
  ///
  /// - Parameter start: when it began to move.
  private func handOver(
    _ sender: MemorySender, _ channel: MigrationChannel, _ hooks: MigrationHooks, start: UInt64,
    _ roundCount: Int
  ) throws(MigrationError) -> MigrationReport {
    var report = MigrationReport()
    report.roundCount = roundCount
    let begin = HostClock.monotonicNanoseconds()
    let isPaused: Bool
    do throws(MachineError) { isPaused = try hooks.pause() } catch { throw .machine("\(error)") }
    guard isPaused else {
      throw .machine("a vCPU is still busy in a device after 10 seconds")
    }
    var failure: MigrationError?
    try saving { () throws(SavedMachineError) in
      _ = try save(atRest: {}) { (saved) throws(SavedMachineError) in
        do throws(MigrationError) {
          try sender.collect()
          sender.collectClaims()
          try sender.sendPending()
          try saving { () throws(SavedMachineError) in try hooks.addNotes(&saved) }
          try send(saved.encoded, over: channel)
          try yield(to: channel, hooks)
        } catch {
          failure = error
          guard error == .unknown else { return .stays }
          hooks.onUnknown()
          return .moved
        }
        let now = HostClock.monotonicNanoseconds()
        report.downtimeNanoseconds = now &- begin
        report.totalNanoseconds = now &- start
        report.sentByteCount = channel.byteCount
        report.pageCount = sender.pageCount
        report.zeroPageCount = sender.zeroPageCount
        hooks.onMoved(report)
        // While the gate is held: whoever wants to resume it comes too late.
        control.end(with: .stopped)
        return .moved
      }
    }
    if let failure { throw failure }
    return report
  }

  private func send(
    _ state: [UInt8], over channel: MigrationChannel
  ) throws(MigrationError) {
    var start = 0
    while start < state.count {
      let end = min(state.count, start + MigrationFrame.Kind.state.maximumByteCount)
      try channel.send(.state, Array(state[start..<end]))
      start = end
    }
  }

  /// Lets the destination have the machine, if it has all of it.
  private func yield(
    to channel: MigrationChannel, _ hooks: MigrationHooks
  ) throws(MigrationError) {
    // Before it is told that this was all: it takes what is let go.
    hooks.release()
    do throws(MigrationError) {
      let sum = channel.sentSum
      try channel.send(.end, argument: sum.frameCount, sum.value.littleEndianBytes)
      try channel.receive(.ready, patienceSeconds: Self.switchSeconds)
      guard hooks.goesOn(), !control.gate.isOver else { throw .cancelled }
      channel.isCommitted = true
      try channel.send(.go)
    } catch {
      // It never got the word to go on, and never will.
      channel.close()
      if let text = hooks.reclaim() { throw .machine("\(error); and \(text)") }
      throw error
    }
    do throws(MigrationError) {
      try channel.receive(.running, patienceSeconds: Self.switchSeconds)
    } catch {
      throw .unknown
    }
  }

  private func saving(
    _ body: () throws(SavedMachineError) -> Void
  ) throws(MigrationError) {
    do throws(SavedMachineError) { try body() } catch { throw .machine("\(error)") }
  }
}
