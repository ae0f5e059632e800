internal import CLibFuzzer
internal import Foundation
internal import Sandbox

/// Runs each file of some directories once, under the filter that the code has in the program:
/// `fuzz --target=NAME --sandboxed=DIRECTORY...`.
///
/// A replay, as libFuzzer writes files on the thread that runs inputs.
enum SandboxedReplay {
  private static let argument = "--sandboxed="

  /// The directories, if this is what the command line asks for.
  static var directories: [String] {
    CommandLine.arguments.filter { $0.hasPrefix(argument) }.map {
      String($0.dropFirst(argument.count))
    }
  }

  /// Never returns. A forbidden call ends the process by SIGSYS; the last line has its input.
  static func run(_ target: any FuzzTarget, _ directories: [String]) throws -> Never {
    var inputs: [(name: String, bytes: [UInt8])] = []
    for directory in directories {
      for name in try FileManager.default.contentsOfDirectory(atPath: directory).sorted() {
        let path = directory + "/" + name
        inputs.append((path, Array(try Data(contentsOf: URL(filePath: path)))))
      }
    }
    try ForbiddenCallReport.install(program: "fuzz: ", hint: "the input is named above")
    let sandbox = Sandbox(SandboxPolicy(), files: [])
    try sandbox.enterProcess()
    sandbox.enter(type(of: target).role)
    for input in inputs {
      say(input.name)
      target.run(FuzzInput(input.bytes))
    }
    say("\(inputs.count) inputs in the sandbox")
    clibfuzzer_end(inputs.isEmpty ? 1 : 0)
    fatalError("still here")
  }

  private static func say(_ text: String) {
    let line = text + "\n"
    _ = unsafe write(2, line, line.utf8.count)
  }
}
