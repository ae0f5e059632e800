internal import ControlAPI
internal import DeviceKit
internal import Devices
internal import GuestMemory
internal import HostSystem
internal import MachineSpecification
internal import VMM

extension ControlledRun {
  /// How long files are asked for that the other side is about to let go.
  private static let reclaimSeconds = 5

  /// Moves the machine to whoever is at the other end of a socket; the run ends when it goes on
  /// there. Takes as long as it takes.
  func migrate(_ request: MigrationRequest, over sent: SentDescriptor?) -> ControlReply {
    guard let sent else {
      return .failure(
        .badRequest,
        "vm.send-migration: no socket came with the request (SCM_RIGHTS): 'vmm-run ctl PATH migrate'"
          + " connects one, and sends it")
    }
    if let obstacle = parts.specification.migrationObstacle
      ?? parts.files.lazy.compactMap(\.obstacle).first
    {
      return .failure(.conflict, obstacle)
    }
    let found = state.withLock { state -> (MachineControl, Machine)? in
      guard state.migration == nil, !state.mayBeElsewhere, let control = state.control,
        let machine = state.machine
      else { return nil }
      state.isMigrationCancelled = false
      state.migration = MachineInfo.Migration(
        round: 1, sentByteCount: 0, remainingByteCount: machine.memory.layout.ramByteCount)
      return (control, machine)
    }
    guard let (control, machine) = found else { return Self.noMachine }
    events.post(
      ControlEvent(.migrationStarted, [("destination_url", .text(request.destination))]))
    do throws(MigrationError) {
      let report = try machine.migrate(
        over: sent.descriptor, offer: try offer(), settings: MigrationSettings(request),
        hooks: hooks(control))
      return .value(.members(report.members))
    } catch {
      // Whoever pauses or resumes it meanwhile gets that afterwards. Under the lock: a pause that
      // comes between would be opened.
      state.withLock { state in
        state.migration = nil
        if !state.isPaused { control.resume() }
      }
      events.post(ControlEvent(.migrationFailed, [("message", .text("\(error)"))]))
      return .failure(.internalError, "the machine stays: \(error)")
    }
  }

  func cancelMigration() -> ControlReply {
    state.withLock { $0.isMigrationCancelled = true }
    return .done
  }

  /// Has a machine again of which the destination did not say that it runs; nil if there is nothing
  /// to say against it.
  func takeBack() -> ControlReply? {
    let machine = state.withLock { $0.mayBeElsewhere ? $0.machine : nil }
    guard let machine else { return nil }
    if let text = reclaim() {
      return .failure(.conflict, "\(text): the machine runs elsewhere; shut this one down")
    }
    state.withLock { $0.mayBeElsewhere = false }
    machine.takeBack()
    return nil
  }

  private func hooks(_ control: MachineControl) -> MigrationHooks {
    var hooks = MigrationHooks { () throws(MachineError) in try control.pause() }
    hooks.addNotes = { [self] (saved) throws(SavedMachineError) in
      do throws(SavedStateError) {
        try MigrationNotes.add(to: &saved.state, media: parts.passedOn.media)
      } catch {
        throw .part(error)
      }
    }
    hooks.release = { [self] in for file in parts.files { file.letGo() } }
    hooks.reclaim = { [self] in reclaim() }
    hooks.goesOn = { [self] in
      state.withLock { !$0.isMigrationCancelled && !$0.isEnding }
    }
    hooks.onMoved = { [self] report in
      events.post(ControlEvent(.migrated, report.members))
      _ = shutDown()
    }
    hooks.onUnknown = { [self] in
      state.withLock { state in
        state.mayBeElsewhere = true
        (state.isPaused, state.isToldPaused) = (true, true)
      }
    }
    hooks.onProgress = { [self] progress in
      let migration = MachineInfo.Migration(
        round: progress.round, sentByteCount: progress.sentByteCount,
        remainingByteCount: progress.remainingByteCount)
      state.withLock { if $0.migration != nil { $0.migration = migration } }
      events.post(ControlEvent(.migrationRound, migration.members))
    }
    return hooks
  }

  private func offer() throws(MigrationError) -> SavedMachine {
    var offer = SavedMachine()
    do throws(SavedStateError) {
      try MigrationNotes.add(
        to: &offer.state, media: parts.passedOn.media, specification: parts.passedOn)
    } catch {
      throw .machine("\(error)")
    }
    return offer
  }

  private func reclaim() -> String? {
    let deadline = ContinuousClock.now + .seconds(Self.reclaimSeconds)
    for file in parts.files {
      while true {
        do {
          try file.takeUp()
          break
        } catch {
          // Each try has waited.
          guard ContinuousClock.now < deadline else { return "\(error)" }
        }
      }
    }
    return nil
  }
}

extension MigrationSettings {
  init(_ request: MigrationRequest) {
    self.init()
    downtimeMilliseconds = request.downtimeMilliseconds ?? downtimeMilliseconds
    maximumRoundCount = request.maximumRoundCount ?? maximumRoundCount
    stopsAnyway = !request.staysIfBusy
  }
}

extension MigrationReport {
  /// As `vm.send-migration` answers.
  fileprivate var members: [(String, JSONValue)] {
    [
      ("downtime_ms", .number(Double(downtimeNanoseconds / 1000) / 1000)),
      ("total_ms", .number(Double(totalNanoseconds / 1000) / 1000)),
      ("rounds", .integer(Int64(roundCount))), ("sent_bytes", .count(sentByteCount)),
      ("pages", .count(pageCount)), ("zero_pages", .count(zeroPageCount)),
    ]
  }
}

extension MachineSpec {
  /// What keeps the machine where it is; nil if nothing does.
  fileprivate var migrationObstacle: String? {
    guard case .computer(let computer) = guest, case .socket? = computer.tpm else { return nil }
    return "a machine whose TPM is an emulator that was joined (--tpm socket=PATH) stays: save it"
      + " with vm.snapshot, and restore it there"
  }
}
