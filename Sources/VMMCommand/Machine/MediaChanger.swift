internal import ControlAPI
internal import Devices
internal import HostSystem
internal import MachineSpecification

/// The CD drives of a run, and what goes into each of them in turn: all images are open before the
/// sandbox closes. Any thread.
final class MediaChanger: Sendable {
  private struct Medium: Sendable {
    let file: String
    let store: any BlockStore
  }

  private struct Slot: Sendable {
    let drive: OpticalDrive
    /// The drive is empty after the last one, then it is the first one's turn.
    let media: [Medium]
    /// Whether more was named than what is in at first.
    let hasNext: Bool
    /// Of what is in: an index of `media`, or their count for nothing.
    var position: Int
    /// The same of what comes in when the guest lets it.
    var awaited: Int?

    /// Follows what the guest has let happen meanwhile.
    mutating func update() {
      guard let position = awaited, !drive.isChangeAwaited else { return }
      self.position = position
      awaited = nil
    }

    func name(_ position: Int) -> String {
      media.indices.contains(position) ? "\(QuotedText(media[position].file))" : "nothing"
    }
  }

  /// What came of a change.
  struct Outcome: Equatable, Sendable {
    let drive: Int
    /// What is in, or will be; nil for nothing.
    let medium: String?
    /// The guest has locked the drive and is asked to eject.
    let isAwaited: Bool
    /// For people.
    let text: String
  }

  /// Why nothing can be changed.
  struct Failure: Error, Equatable, CustomStringConvertible {
    let description: String
  }

  private let slots: Guarded<[Slot]>
  private let listener = Guarded<(@Sendable (Outcome) -> Void)?>(nil)

  /// Opens and locks the images, shared with others that read.
  init(_ drives: [CDROMSpec]) throws {
    slots = Guarded(
      try drives.enumerated().map { index, drive in
        let media = try ([drive.file].compactMap(\.self) + drive.nextFiles).map { file in
          let store = try RawImageStore.opticalMedium(path: HostPath(argument: file))
          Diagnostics.warnOfMissingLocks(store.lockGap, of: "CD image \(file)")
          return Medium(file: file, store: store)
        }
        let position = drive.file == nil ? media.count : 0
        return Slot(
          drive: OpticalDrive(
            medium: drive.file == nil ? nil : media.first?.store, serial: "cdrom\(index)"),
          media: media, hasNext: !drive.nextFiles.isEmpty, position: position)
      })
  }

  /// The drives, in their order.
  var drives: [OpticalDrive] { slots.withLock { $0.map(\.drive) } }

  /// Puts the next medium into a drive. One that the guest has locked it is asked to eject, and the
  /// second time the medium is changed all the same.
  ///
  /// - Parameter index: of the drive; nil for the first one for which more was named, or else the
  ///   first.
  /// - Returns: what there is to say of it.
  func goOn(_ index: Int?) -> String {
    do throws(Failure) {
      let outcome = try change(index, to: .next)
      return "cdrom\(outcome.drive): " + outcome.text
    } catch {
      return error.description
    }
  }

  /// Puts a medium into a drive, or none; as `goOn` does.
  func change(
    _ index: Int?, to medium: ControlRequest.CDROMChange.Medium
  ) throws(Failure) -> Outcome {
    let outcome = try slots.withLock { (slots) throws(Failure) in
      guard !slots.isEmpty else {
        throw Failure(description: "there is no CD drive; start with '--cdrom FILE,next=FILE'")
      }
      let index = index ?? slots.firstIndex { $0.hasNext } ?? 0
      guard slots.indices.contains(index) else {
        throw Failure(description: "there is no drive cdrom\(index)")
      }
      slots[index].update()
      return try Self.change(&slots[index], index, to: medium)
    }
    listener.withLock { $0 }?(outcome)
    return outcome
  }

  /// Has somebody told of changes: all of the host's, and not of what a guest lets happen later.
  func setListener(_ onChange: (@Sendable (Outcome) -> Void)?) {
    listener.withLock { $0 = onChange }
  }

  private static func change(
    _ slot: inout Slot, _ index: Int, to medium: ControlRequest.CDROMChange.Medium
  ) throws(Failure) -> Outcome {
    let next: Int
    switch medium {
    case .none: next = slot.media.count
    case .next:
      guard !slot.media.isEmpty else {
        throw Failure(
          description:
            "cdrom\(index): no image was named for it; start with '--cdrom none,next=FILE'")
      }
      next = slot.awaited ?? (slot.position + 1) % (slot.media.count + 1)
    case .file(let file):
      guard let position = slot.media.firstIndex(where: { $0.file == file }) else {
        throw Failure(
          description: "cdrom\(index): \(QuotedText(file)) was not named for it; only what was can"
            + " be opened; start with '--cdrom FILE,next=FILE'")
      }
      next = position
    }
    // Asked for twice, it is done whatever the guest has locked.
    let isForced = slot.awaited == next
    let store = slot.media.indices.contains(next) ? slot.media[next].store : nil
    let file = slot.media.indices.contains(next) ? slot.media[next].file : nil
    if isForced {
      slot.drive.change(to: store)
    } else if !slot.drive.requestChange(to: store) {
      slot.awaited = next
      return Outcome(
        drive: index, medium: file, isAwaited: true,
        text: "the guest has locked it and is asked to eject \(slot.name(slot.position)), then "
          + "\(slot.name(next)) comes in; ask again to change it at once")
    }
    slot.position = next
    slot.awaited = nil
    return Outcome(
      drive: index, medium: file, isAwaited: false,
      text: "\(slot.name(next)) is in"
        + (isForced ? ", though the guest had locked the drive" : ""))
  }
}
