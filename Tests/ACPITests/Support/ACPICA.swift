import Foundation

/// ACPICA's tools (compiler, disassembler, interpreter), run in a directory of their own.
final class ACPICA {
  enum Tool: String, CaseIterable {
    case compiler = "iasl"
    case interpreter = "acpiexec"
  }

  /// What a run said and how it ended.
  struct Outcome {
    let status: Int32
    let text: String
  }

  /// Whether all tools are on PATH.
  static let isInstalled = Tool.allCases.allSatisfy { programs[$0] != nil }

  private static let programs: [Tool: URL] = {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    let directories = path.split(separator: ":").map { URL(fileURLWithPath: String($0)) }
    return Tool.allCases.reduce(into: [:]) { programs, tool in
      programs[tool] = directories.lazy.map { $0.appendingPathComponent(tool.rawValue) }
        .first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }
  }()

  private let directory: URL

  init() throws {
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("acpica-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
  }

  deinit {
    try? FileManager.default.removeItem(at: directory)
  }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: directory.appendingPathComponent(name))
  }

  func bytes(of name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: directory.appendingPathComponent(name)))
  }

  func text(of name: String) throws -> String {
    String(decoding: try bytes(of: name), as: UTF8.self)
  }

  /// Runs a tool in the directory. What it says goes to one file, so that no pipe can fill up.
  func run(_ tool: Tool, _ arguments: String...) throws -> Outcome {
    guard let program = Self.programs[tool] else { throw CocoaError(.fileNoSuchFile) }
    try write([], to: "log")
    let output = try FileHandle(forWritingTo: directory.appendingPathComponent("log"))
    let process = Process()
    process.executableURL = program
    process.arguments = arguments
    process.currentDirectoryURL = directory
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    try process.run()
    process.waitUntilExit()
    try output.close()
    return Outcome(status: process.terminationStatus, text: try text(of: "log"))
  }
}
