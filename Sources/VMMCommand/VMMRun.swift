import Glibc
import GuestMemory

/// Reads the command line, starts the command, and turns its outcome into an exit status.
public enum VMMRun {
  /// Runs this process's command line and ends the process with its status.
  public static func main() -> Never {
    // Nothing can be said of it: there is nowhere to write.
    guard StandardDescriptors.occupy() else { _exit(ExitStatus.hostCannot.code) }
    exit(run(CommandArguments.all).code)
  }

  static func run(_ arguments: [String]) -> ExitStatus {
    // A write past a limit of file sizes (ulimit -f) is an error of that write, perhaps a
    // guest's, and not the end of the process.
    _ = signal(SIGXFSZ, SIG_IGN)
    SignalWatcher.ignoreRequests()
    // So is a write to a reader that is gone (`vmm-run … | head`).
    _ = signal(SIGPIPE, SIG_IGN)
    GuestMemory.prepareProcess()
    let invocation: Invocation
    do throws(UsageError) {
      invocation = try Invocation(
        arguments, on: .ofHost, readConfiguration: GuestFile.machine)
    } catch {
      Diagnostics.report(error)
      return .usage
    }
    switch invocation {
    case .help(let command): return printed(HelpText.text(for: command))
    case .version: return printed(Version.text + "\n")
    case .demo(let options): return DemoCommand.run(options)
    case .check(let options): return CheckCommand.run(options)
    case .run(let options): return RunCommand.run(options)
    case .receive(let options): return ReceiveCommand.run(options)
    case .ctl(let options): return CtlCommand.run(options)
    case .evidence(let options): return EvidenceCommand.run(options)
    case .documentation(let options): return printed(options.text)
    }
  }

  private static func printed(_ text: String) -> ExitStatus {
    do throws(SystemError) {
      try OutputFile.writeStandardOutput(text)
      return .success
    } catch {
      Diagnostics.report(error)
      return .failure
    }
  }
}

/// What `--version` prints.
enum Version {
  static let number = "0.1.0"
  static let text = "vmm-run \(number)"
}
