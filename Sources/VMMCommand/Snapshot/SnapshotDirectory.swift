internal import DeviceKit
internal import Devices
internal import Glibc
internal import GuestMemory
internal import HostSystem
internal import MachineSpecification
internal import VMM

/// Where machines are saved: the directory of `--snapshots`, in which each has a directory of its
/// own.
///
/// There are a file `machine` and one of `memory-a` and `memory-b`, the one that `machine` names. A
/// newer machine takes the other, and is there with the renaming of `machine`, all at once: a crash
/// before leaves the old one, a crash after leaves a file too many, which the next one replaces.
///
/// Any thread; one at a time saves.
final class SnapshotDirectory: Sendable {
  private let path: String
  private let machine: MachineSpec
  /// Held locked: two runs would take each other's files.
  private let descriptor: Int32
  private let turn = Guarded(())

  /// Opens the directory, and makes it if it is missing. Before the sandbox closes.
  ///
  /// - Parameter machine: with files as they were given.
  init(_ path: String, of machine: MachineSpec) throws(SystemError) {
    self.path = path
    self.machine = machine.withAbsolutePaths(from: try Self.currentDirectory())
    _ = try OutputFile.makeDirectory(path)
    let file = try OutputFile.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, named: path)
    guard flock(file.rawValue, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
      throw SystemError(
        "use \(path) for saved machines", code: EBUSY, cure: "another run has it; name one for each"
      )
    }
    descriptor = file.release()
  }

  deinit {
    close(descriptor)
  }

  static func currentDirectory() throws(SystemError) -> String {
    // SAFETY: allocated by the call, freed below.
    guard let directory = unsafe getcwd(nil, 0) else {
      throw SystemError("find the working directory", code: errno, cure: "change to one")
    }
    defer { unsafe free(directory) }
    return unsafe ArgumentText.string(
      from: Array(
        UnsafeBufferPointer(
          start: UnsafeRawPointer(directory).assumingMemoryBound(to: UInt8.self),
          count: strlen(directory))))
  }

  /// Saves a machine that is paused, in place of what has the name.
  ///
  /// - Returns: where it is.
  /// - Throws: `SnapshotError`; what had the name is as it was.
  func save(_ machine: Machine, as name: String) throws(SnapshotError) -> String {
    try turn.withLock { (_) throws(SnapshotError) in
      let files = SnapshotFiles(directory: "\(path)/\(name)")
      _ = try SnapshotError.system { () throws(SystemError) in
        try OutputFile.makeDirectory(files.directory)
      }
      let memoryName = try files.otherMemoryName()
      do throws(SnapshotError) {
        try write(machine, to: files, memoryName)
      } catch {
        files.discard(memoryName: memoryName)
        throw error
      }
      // The directory's own name.
      _ = fdatasync(descriptor)
      return files.directory
    }
  }

  private func write(
    _ machine: Machine, to files: SnapshotFiles, _ memoryName: String
  ) throws(SnapshotError) {
    let memory = try files.create(memoryName)
    var media: [MediumIdentity] = []
    var saved: SavedMachine
    do throws(SavedMachineError) {
      saved = try machine.save(memoryTo: memory.rawValue) { media = self.machine.media }
    } catch {
      throw SnapshotError("\(error)")
    }
    try files.synchronize(memory.rawValue, memoryName)
    let notes = SnapshotNotes(
      specification: Array(self.machine.json.utf8), memoryName: memoryName, media: media)
    do throws(SavedStateError) {
      try notes.add(to: &saved)
    } catch {
      throw SnapshotError("\(error)")
    }
    try files.replaceMachine(with: saved.encoded, memoryName: memoryName)
  }
}
