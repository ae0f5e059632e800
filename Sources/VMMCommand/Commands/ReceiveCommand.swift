internal import Glibc
internal import HostSystem
internal import MachineSpecification
internal import VMM

/// `vmm-run receive`: waits for a machine, and then is a run like any other.
enum ReceiveCommand {
  static func run(_ options: ReceiveOptions) -> ExitStatus {
    let received: ReceivedMachine
    do {
      received = try receive(options.address)
    } catch {
      Diagnostics.report("no machine came: \(error)")
      return .failure
    }
    let run: RunOptions
    do {
      run = try options.run(received)
    } catch {
      received.receiver.refuse("\(error)")
      Diagnostics.report("\(error)")
      return .failure
    }
    return RunCommand.run(run)
  }

  private static func receive(_ address: MigrationAddress) throws -> ReceivedMachine {
    let connection = try accept(address)
    let received = try ReceivedMachine(connection)
    Diagnostics.report("a machine comes from \(address)")
    return received
  }

  /// The first connection of somebody who may.
  private static func accept(_ address: MigrationAddress) throws -> FileDescriptor {
    let listener: FileDescriptor
    do throws(Errno) {
      listener = try address.listening()
    } catch {
      throw SystemError("listen on \(address)", code: error.rawValue)
    }
    defer {
      if case .unix(let path) = address { OutputFile.remove(path) }
    }
    Diagnostics.report("waiting for a machine: \(address)")
    while true {
      var files = [pollfd(fd: listener.rawValue, events: Int16(POLLIN), revents: 0)]
      _ = PollSet.wait(&files, until: nil, now: 0)
      let connection: FileDescriptor
      do throws(Errno) {
        connection = try FileDescriptor(acceptedBy: listener)
      } catch {
        if [EAGAIN, EINTR, ECONNABORTED].contains(error.rawValue) { continue }
        throw SystemError("accept a connection on \(address)", code: error.rawValue)
      }
      guard case .unix = address else { return connection }
      if let user = connection.peerUserID, user == geteuid() || user == 0 { return connection }
      Diagnostics.report("another user's connection was refused")
    }
  }
}

/// What `vmm-run receive` was asked to do.
struct ReceiveOptions: Equatable, Sendable {
  var address: MigrationAddress
  /// The machine that is taken; nil for any.
  var expected: MachineSpec?
  /// What belongs to the run.
  private let parsed: ParsedOptions

  init(
    _ parsed: ParsedOptions, readConfiguration: (String) throws(UsageError) -> MachineSpec
  ) throws(UsageError) {
    guard let word = parsed.operands.first else {
      throw .missingOperand("ADDRESS", command: .receive)
    }
    if let stranger = parsed.operands.dropFirst().first {
      throw .unexpectedArgument(stranger, command: .receive, suggestions: [])
    }
    do throws(SpecValueError) {
      address = try MigrationAddress(parsing: word)
    } catch {
      throw .invalidOperand("ADDRESS", error)
    }
    expected = try parsed.text(.expectedMachine).map { (path) throws(UsageError) in
      try readConfiguration(path)
    }
    self.parsed = parsed
  }

  /// The run that a machine makes.
  func run(_ received: ReceivedMachine) throws -> RunOptions {
    let machine = try received.specification()
    if let expected {
      let directory = try SnapshotDirectory.currentDirectory()
      guard expected.withAbsolutePaths(from: directory).json == machine.json else {
        throw SnapshotError("the machine that came is not the one of '--config'")
      }
    }
    try received.checkMedia(of: machine)
    var options = try RunOptions(parsed, changing: machine)
    options.received = received
    return options
  }
}
