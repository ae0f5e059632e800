internal import Devices
internal import HostSystem
internal import MachineSpecification
internal import VMM

/// A machine that is on its way here, with the connection that it comes over. Equal to itself
/// alone.
final class ReceivedMachine: Sendable, Equatable {
  let receiver: MigrationReceiver
  private let connection: FileDescriptor

  /// Reads what the machine is.
  init(_ connection: consuming FileDescriptor) throws(MigrationError) {
    receiver = try MigrationReceiver(connection.rawValue)
    self.connection = connection
  }

  static func == (left: ReceivedMachine, right: ReceivedMachine) -> Bool { left === right }

  var restoration: MachineRestoration { MachineRestoration(receivedBy: receiver) }

  /// What it is.
  func specification() throws(SnapshotError) -> MachineSpec {
    try MigrationNotes.specification(of: receiver.offer.state)
  }

  /// Has its disks looked at, and taken up, when all of it is there.
  ///
  /// - Parameter files: what the machine has for itself, open and not locked.
  func expect(_ machine: MachineSpec, files: [any PassableFile]) {
    receiver.whenComplete { (saved) throws(MachineError) in
      do {
        for file in files { try file.takeUp() }
        // Nobody writes them now.
        try MigrationNotes.check(
          MigrationNotes.media(of: saved.state), against: machine.media, comparesTime: true)
      } catch {
        for file in files { file.letGo() }
        throw .configuration("\(error)")
      }
    }
  }

  /// Looks at its disks before its memory comes: a missing one is found out here.
  func checkMedia(of machine: MachineSpec) throws(SnapshotError) {
    try MigrationNotes.check(
      MigrationNotes.media(of: receiver.offer.state), against: machine.media, comparesTime: false)
  }
}

extension MachineConfiguration {
  /// What the machine has for itself, and passes on when it moves.
  var passableFiles: [any PassableFile] {
    var files: [any PassableFile] = computer.disks.compactMap { $0.store as? RawImageStore }
    for port in computer.sataPorts {
      if case .disk(let store, _) = port, let image = store as? RawImageStore {
        files.append(image)
      }
    }
    if case .firmware(let firmware) = image, let chip = firmware.variables { files.append(chip) }
    if let tpm = computer.tpm?.backend as? PassableTPM { files.append(tpm) }
    return files
  }
}
