internal import DeviceKit
internal import Devices
internal import Glibc
internal import HostSystem
internal import MachineSpecification
internal import Synchronization
internal import VMM

/// The files of one saved machine.
struct SnapshotFiles: Equatable, Sendable {
  private static let machineName = "machine"
  /// A machine that is not written to its end.
  private static let draftName = "machine.new"
  private static let memoryNames = ["memory-a", "memory-b"]
  /// Frame buffers make the most of it.
  private static let maximumByteCount = 2 << 30

  let directory: String

  private var machinePath: String { path(Self.machineName) }

  private func path(_ name: String) -> String { "\(directory)/\(name)" }

  // MARK: Saving

  /// The name of a memory file that no machine which is there uses.
  ///
  /// - Throws: if there is a machine that this program cannot read, as one of another version: any
  ///   file may be its memory.
  func otherMemoryName() throws(SnapshotError) -> String {
    var status = stat()
    // SAFETY: the structure lives for the call; the path is lent, terminated.
    let isThere =
      unsafe HostPath(argument: machinePath).withCString { unsafe lstat($0, &status) } == 0
      || errno != ENOENT
    guard isThere else { return Self.memoryNames[0] }
    let used: String
    do {
      used = try read().notes.memoryName
    } catch {
      throw SnapshotError("\(error); remove what is there first, or save with another name")
    }
    return Self.memoryNames.first { $0 != used } ?? Self.memoryNames[0]
  }

  /// Removes what was written of a machine that could not be saved.
  func discard(memoryName: String) {
    for name in [memoryName, Self.draftName] { remove(name) }
  }

  private func remove(_ name: String) { OutputFile.remove(path(name)) }

  /// Makes a file that is empty, for this user alone: guests have secrets in their memory. What has
  /// the name is no more: who reads it now reads on, and a link leads nowhere.
  func create(_ name: String) throws(SnapshotError) -> FileDescriptor {
    remove(name)
    return try SnapshotError.system { () throws(SystemError) in
      try OutputFile.open(
        path(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode: 0o600, named: path(name))
    }
  }

  /// Returns when what was written survives a loss of power.
  func synchronize(_ descriptor: Int32, _ name: String) throws(SnapshotError) {
    guard fdatasync(descriptor) == 0 || errno == EINVAL || errno == EROFS else {
      throw SnapshotError(SystemError("write \(path(name))", code: errno))
    }
  }

  /// Puts a machine in place of the one that is there, in one step.
  ///
  /// - Parameter memoryName: the memory file that it names.
  func replaceMachine(with bytes: [UInt8], memoryName: String) throws(SnapshotError) {
    let draft = try create(Self.draftName)
    try SnapshotError.system { () throws(SystemError) in
      var writer = PatientWriter(
        descriptor: draft.rawValue, name: path(Self.draftName), policy: .waits(.ofProcess))
      if case .failed(let error) = writer.write(bytes) { throw error }
    }
    try synchronize(draft.rawValue, Self.draftName)
    try SnapshotError.system { () throws(SystemError) in
      try OutputFile.move(path(Self.draftName), to: machinePath)
    }
    // The name as well, and before the other memory goes. If that is not possible the machine is
    // there all the same.
    if let directory = try? OutputFile.open(
      directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, named: directory)
    {
      _ = fdatasync(directory.rawValue)
    }
    // Nobody's any more.
    for name in Self.memoryNames where name != memoryName { remove(name) }
  }

  // MARK: Restoring

  /// The machine that is there.
  func read() throws(SnapshotError) -> Snapshot {
    let bytes = try SnapshotError.system { () throws(SystemError) in
      try GuestFile(
        role: "saved machine", path: machinePath, maximumByteCount: Self.maximumByteCount
      ).read()
    }
    do throws(SavedMachineError) {
      let machine = try SavedMachine(decoding: bytes)
      return Snapshot(files: self, machine: machine, notes: try SnapshotNotes(of: machine))
    } catch {
      throw SnapshotError("\(machinePath): \(error)")
    }
  }

  /// Opens the memory of a machine, and looks whether its disks are as they were.
  func open(_ snapshot: Snapshot) throws(SnapshotError) -> OpenSnapshot {
    for medium in snapshot.notes.media { try medium.check() }
    let name = snapshot.notes.memoryName
    guard Self.memoryNames.contains(name) else {
      throw SnapshotError("\(machinePath): it names no memory")
    }
    do throws(Errno) {
      // SAFETY: the path is lent, terminated, for the call.
      let file = try FileDescriptor {
        unsafe HostPath(argument: path(name)).withCString {
          // A pipe would wait for its writer.
          unsafe Glibc.open($0, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        }
      }
      return OpenSnapshot(snapshot.machine, file)
    } catch {
      throw SnapshotError(SystemError("read \(path(name))", code: error.rawValue))
    }
  }

  /// What the machine is.
  fileprivate func specification(_ notes: SnapshotNotes) throws(SnapshotError) -> MachineSpec {
    do throws(MachineSpecError) {
      return try MachineSpec(json: notes.specification)
    } catch {
      throw SnapshotError("\(machinePath): \(error)")
    }
  }
}

/// A saved machine, read once: what it is and where it goes on belong together.
struct Snapshot: Equatable, Sendable {
  let files: SnapshotFiles
  let machine: SavedMachine
  let notes: SnapshotNotes

  /// What the machine is.
  func specification() throws(SnapshotError) -> MachineSpec { try files.specification(notes) }

  /// Opens its memory; see `SnapshotFiles.open`.
  func open() throws(SnapshotError) -> OpenSnapshot { try files.open(self) }
}

/// A saved machine whose memory is open, until a machine is made of it.
final class OpenSnapshot: Sendable {
  let restoration: MachineRestoration
  private let memory: Mutex<FileDescriptor?>

  init(_ machine: SavedMachine, _ memory: consuming FileDescriptor) {
    restoration = MachineRestoration(machine, memoryDescriptor: memory.rawValue)
    self.memory = Mutex(memory)
  }

  /// The machine is made: its memory's file may go, and take its room along.
  func close() {
    memory.withLock { $0 = nil }
  }
}

/// What is kept of a run with its machine.
struct SnapshotNotes: Equatable, Sendable {
  private static let specificationPart = "specification"
  private static let filesPart = "files"
  private static let maximumNameByteCount = 4096

  /// As JSON, files named from the root.
  var specification: [UInt8] = []
  var memoryName = ""
  var media: [MediumIdentity] = []

  init(specification: [UInt8], memoryName: String, media: [MediumIdentity]) {
    self.specification = specification
    self.memoryName = memoryName
    self.media = media
  }

  /// Reads those of a machine.
  init(of saved: SavedMachine) throws(SavedMachineError) {
    do throws(SavedStateError) {
      specification = try saved.state.bytes(of: Self.specificationPart)
      try saved.state.restore(from: Self.filesPart) { (transfer) throws(StateError) in
        try self.transfer(&transfer)
      }
    } catch {
      throw .part(error)
    }
  }

  func add(to saved: inout SavedMachine) throws(SavedStateError) {
    saved.state.add(specification, as: Self.specificationPart)
    var copy = self
    try saved.state.save(as: Self.filesPart) { (transfer) throws(StateError) in
      try copy.transfer(&transfer)
    }
  }

  private mutating func transfer(_ transfer: inout StateTransfer) throws(StateError) {
    var name = Array(memoryName.utf8)
    try transfer.bytes(&name, maximumCount: Self.maximumNameByteCount)
    memoryName = String(decoding: name, as: UTF8.self)
    try MediumIdentity.transfer(&media, &transfer)
  }
}

/// By what a disk's image is known again: nobody wrote it since.
struct MediumIdentity: Equatable, Sendable {
  var path = ""
  /// 0 for what has no time of its last change, as a block device.
  var byteCount: UInt64 = 0
  /// The last change (*st_mtim*), in nanoseconds since 1970.
  var changedNanoseconds: UInt64 = 0

  init() {}

  /// As it is now.
  init(path: String) {
    self.path = path
    var status = stat()
    // SAFETY: the structure lives for the call; the path is lent, terminated.
    let isThere =
      unsafe HostPath(argument: path).withCString { unsafe stat($0, &status) } == 0
    guard isThere, status.st_mode & S_IFMT == S_IFREG else { return }
    byteCount = UInt64(status.st_size)
    changedNanoseconds =
      UInt64(bitPattern: Int64(status.st_mtim.tv_sec)) &* 1_000_000_000
      &+ UInt64(bitPattern: Int64(status.st_mtim.tv_nsec))
  }

  static func transfer(
    _ media: inout [MediumIdentity], _ transfer: inout StateTransfer
  ) throws(StateError) {
    try transfer.elements(&media, maximumCount: 256, new: MediumIdentity()) {
      (transfer, medium) throws(StateError) in
      var path = ArgumentText.bytes(of: medium.path)
      try transfer.bytes(&path, maximumCount: maximumNameByteCount)
      medium.path = ArgumentText.string(from: path)
      try transfer.integer(&medium.byteCount)
      try transfer.integer(&medium.changedNanoseconds)
    }
  }

  private static let maximumNameByteCount = 4096

  /// - Throws: if it has changed: what the guest has in memory would destroy it.
  func check() throws(SnapshotError) {
    guard byteCount != 0, MediumIdentity(path: path) != self else { return }
    throw SnapshotError(
      "\(QuotedText(path)) has changed since the machine was saved, which would be destroyed by what"
        + " the guest remembers of it; put back a copy made then (cp --preserve=timestamps), or start"
        + " the machine anew")
  }
}

/// Why a machine is not saved, or cannot go on. One line.
struct SnapshotError: Error, Equatable, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }

  init(_ error: SystemError) {
    description = error.description
  }

  /// Runs `body`, giving the system's errors as those of snapshots.
  static func system<R: ~Copyable>(
    _ body: () throws(SystemError) -> R
  ) throws(SnapshotError) -> R {
    do throws(SystemError) { return try body() } catch { throw SnapshotError(error) }
  }
}
