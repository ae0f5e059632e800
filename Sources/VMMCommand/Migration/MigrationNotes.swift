internal import DeviceKit
internal import MachineSpecification
internal import VMM

/// What a run adds to a machine that moves: what it is, and its disks.
enum MigrationNotes {
  private static let specificationPart = "specification"
  private static let mediaPart = "media"

  /// - Parameter specification: nil at the end, when the destination knows it.
  static func add(
    to state: inout SavedState, media: [MediumIdentity], specification: MachineSpec? = nil
  ) throws(SavedStateError) {
    if let specification { state.add(Array(specification.json.utf8), as: specificationPart) }
    var media = media
    try state.save(as: mediaPart) { (transfer) throws(StateError) in
      try MediumIdentity.transfer(&media, &transfer)
    }
  }

  /// What the machine is.
  static func specification(of state: SavedState) throws(SnapshotError) -> MachineSpec {
    let bytes: [UInt8]
    do throws(SavedStateError) {
      bytes = try state.bytes(of: specificationPart)
    } catch {
      throw SnapshotError("\(error)")
    }
    do throws(MachineSpecError) {
      return try MachineSpec(json: bytes)
    } catch {
      throw SnapshotError("\(error)")
    }
  }

  static func media(of state: SavedState) throws(SnapshotError) -> [MediumIdentity] {
    var media: [MediumIdentity] = []
    do throws(SavedStateError) {
      try state.restore(from: mediaPart) { (transfer) throws(StateError) in
        try MediumIdentity.transfer(&media, &transfer)
      }
    } catch {
      throw SnapshotError("\(error)")
    }
    return media
  }

  /// Looks whether the disks are those that the source had, at an instant at which neither writes.
  ///
  /// - Parameter comparesTime: false while the source still writes.
  static func check(
    _ theirs: [MediumIdentity], against ours: [MediumIdentity], comparesTime: Bool
  ) throws(SnapshotError) {
    guard theirs.map(\.path) == ours.map(\.path) else {
      throw SnapshotError("the machine has other disks")
    }
    for (theirs, ours) in zip(theirs, ours) {
      guard theirs.byteCount == ours.byteCount,
        !comparesTime || theirs.changedNanoseconds == ours.changedNanoseconds
      else {
        throw SnapshotError(
          "\(QuotedText(ours.path)) is not the file that the source has; both need the same one,"
            + " by the same path")
      }
    }
  }
}
