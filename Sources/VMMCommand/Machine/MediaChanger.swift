internal import Devices
internal import MachineSpecification
internal import Synchronization

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

  private let slots: Mutex<[Slot]>

  /// Opens and locks the images, shared with others that read.
  init(_ drives: [CDROMSpec]) throws {
    slots = Mutex(
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
    slots.withLock { slots in
      guard !slots.isEmpty else {
        return "there is no CD drive; start with '--cdrom FILE,next=FILE'"
      }
      let index = index ?? slots.firstIndex { $0.hasNext } ?? 0
      guard slots.indices.contains(index) else { return "there is no drive cdrom\(index)" }
      slots[index].update()
      return "cdrom\(index): " + Self.goOn(&slots[index])
    }
  }

  private static func goOn(_ slot: inout Slot) -> String {
    guard !slot.media.isEmpty else {
      return "no image was named for it; start with '--cdrom none,next=FILE'"
    }
    let isForced = slot.awaited != nil
    let next = slot.awaited ?? (slot.position + 1) % (slot.media.count + 1)
    let store = slot.media.indices.contains(next) ? slot.media[next].store : nil
    if isForced {
      slot.drive.change(to: store)
    } else if !slot.drive.requestChange(to: store) {
      slot.awaited = next
      return "the guest has locked it and is asked to eject \(slot.name(slot.position)), then "
        + "\(slot.name(next)) comes in; ask again to change it at once"
    }
    slot.position = next
    slot.awaited = nil
    return "\(slot.name(next)) is in" + (isForced ? ", though the guest had locked the drive" : "")
  }
}
