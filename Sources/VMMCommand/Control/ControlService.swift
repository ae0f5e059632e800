internal import Glibc
internal import HostSystem
internal import MachineSpecification
internal import VMM

/// The clients of `--control`, for as long as the run lasts.
final class ControlService: Sendable {
  let run: ControlledRun
  private let path: String
  private let listener: UnixListener
  /// Who is answered; nobody can be asked any more once the sandbox is closed.
  private let userID = geteuid()
  private let server = Guarded<ControlServer?>(nil)

  /// Listens: before the sandbox closes, and before any thread.
  init(_ options: ControlOptions, _ parts: ControlledRun.Parts) throws {
    path = options.path
    do throws(UnixListener.Failure) {
      listener = try UnixListener(ArgumentText.bytes(of: options.path))
    } catch {
      throw ControlSocketError(path: options.path, failure: error)
    }
    run = ControlledRun(parts)
  }

  /// Starts the threads, in the sandbox.
  ///
  /// - Parameters:
  ///   - quit: ends the run, whatever the guest is doing.
  ///   - onThreadStart: what the thread that waits for clients does first of all.
  func start(
    quit: @escaping @Sendable () -> Void, onThreadStart: @escaping @Sendable () -> Void
  ) throws(MachineError) {
    run.begin(quit: quit)
    let server = try ControlServer(
      listener, run, userID: userID, onThreadStart: onThreadStart)
    self.server.withLock { $0 = server }
    Diagnostics.report("control: unix:\(path)")
  }

  /// The run has ended: clients are told, and the socket's file goes.
  func stop() {
    run.finish()
    server.withLock({ $0.take() })?.stop()
    listener.removeFile()
  }
}

/// Where control clients connect.
struct ControlOptions: Equatable, Sendable {
  private static let prefix = "unix:"

  var path: String

  /// Reads `unix:PATH`.
  init(parsing text: String) throws(SpecValueError) {
    let path = text.hasPrefix(Self.prefix) ? text.dropFirst(Self.prefix.count) : ""
    guard !path.isEmpty else {
      throw SpecValueError(
        "\(QuotedText(text)) is not unix:PATH, with the path of a socket to make")
    }
    self.path = String(path)
  }
}

/// Why nothing listens.
struct ControlSocketError: Error, CustomStringConvertible {
  let path: String
  let failure: UnixListener.Failure

  var description: String { "control socket \(QuotedText(path)): \(failure)" }
}
