import ControlAPI
import Glibc
import MachineSpecification
import Testing

@testable import VMMCommand

/// The files that a package takes from the program: they say what the option table says, and the
/// programs that read them have no complaint.
@Suite struct DocumentationTests {
  private static let commands = CommandName.allCases.map(\.rawValue)
  private let page = ManualPage(date: .init(secondsSince1970: 1_764_288_000))

  @Test(arguments: [
    ("man", DocumentationOptions(.man)), ("man run", DocumentationOptions(.man, of: .run)),
    ("bash", DocumentationOptions(.bash)), ("zsh", DocumentationOptions(.zsh)),
    ("fish", DocumentationOptions(.fish)),
  ])
  func understands(line: String, options: DocumentationOptions) throws {
    #expect(
      try Invocation(["documentation"] + line.split(separator: " ").map(String.init))
        == .documentation(options))
    #expect(!options.text.isEmpty)
  }

  @Test(arguments: [
    ("", "documentation: '' is not one of man, bash, zsh, fish"),
    ("mann", "documentation: 'mann' is not one of man, bash, zsh, fish; did you mean 'man'?"),
    ("bash run", "documentation: unexpected argument 'run'"),
    (
      "man rum",
      "documentation: 'rum' is not one of \(Self.commands.joined(separator: ", "));"
        + " did you mean 'run'?"
    ),
  ])
  func refuses(line: String, message: String) {
    let error = #expect(throws: UsageError.self) {
      try Invocation(["documentation"] + line.split(separator: " ").map(String.init))
    }
    #expect(error?.description == message)
  }

  @Test(arguments: CommandName.allCases)
  func everyOptionIsInEachOutput(command: CommandName) {
    let definition = command.definition
    let manual = page.text(for: command)
    let zsh = ZshCompletion.text
    let fish = FishCompletion.text
    let bash = BashCompletion.text
    #expect(bash.contains("\n    \(command))\n"))
    #expect(zsh.contains("\n        \(command))\n"))
    #expect(fish.contains(" -a \(command) -d "))
    let names = definition.completedOptions.map(\.name).joined(separator: " ")
    #expect(bash.contains("\n    \(command))\n      options='\(names)'\n"))
    for option in definition.options {
      let typed = option.name.replacing("-", with: #"\-"#)
      #expect(manual.contains(".TP\n\\fB\(typed)\\fR"), "\(option.name)")
      #expect(
        zsh.contains(
          "'\(option.isRepeatable ? "*" : "")\(option.name)\(option.takesValue ? "=[" : "[")"),
        "\(option.name)")
      #expect(
        fish.contains("\"__vmm_run_is \(command)\" -l \(option.name.dropFirst(2)) "),
        "\(option.name)")
    }
    for route in ControlRoute.allCases where command == .ctl {
      #expect(manual.contains("\\fB\(route.command.replacing("-", with: #"\-"#))\\fR\n"))
      #expect(fish.contains(" -a \(route.command) -d "))
      #expect(zsh.contains("'\(route.command):"))
    }
  }

  /// What a shell offers is understood, whatever else it may lack.
  @Test(arguments: CommandName.allCases)
  func wordsAreValues(command: CommandName) {
    for option in command.definition.options {
      for word in option.words {
        do throws(UsageError) {
          let guest = command == .run && option != .firmware ? ["--firmware", "f"] : []
          let disk = command == .windows ? ["--disk", "d"] : []
          _ = try Invocation([command.rawValue] + guest + disk + ["\(option.name)=\(word)"])
        } catch {
          if case .invalidValue = error { Issue.record("\(error)") }
        }
      }
    }
  }

  @Test func summariesAreCutAtTheirFirstSentence() {
    #expect(
      CompletionText.brief("Guest memory, such as 4G (default 1.5G). More.")
        == "Guest memory, such as 4G (default 1.5G)")
    #expect(CompletionText.brief("No end") == "No end")
    #expect(CompletionText.quoted("a 'b'") == #"'a '\''b'\'''"#)
  }

  @Test func pagesNameTheirDateAndVersion() {
    #expect(
      page.text(for: .ctl).hasPrefix(
        #".TH "VMM\-RUN\-CTL" "1" "2025-11-28" "vmm\-run \#(Version.number)" "User Commands""#
          + "\n"))
    #expect(page.text(for: nil).contains(#"vmm\-run \- virtual machine monitor for KVM"#))
  }

  @Test(
    .enabled(if: Tool.mandoc.isInstalled, "needs mandoc"),
    arguments: [nil] + CommandName.allCases.map(Optional.some))
  func mandocHasNoComplaint(command: CommandName?) throws {
    let directory = try TemporaryDirectory()
    try directory.write(Array(page.text(for: command).utf8), to: "page.1")
    let (end, output) = try Tool.mandoc.run(["-T", "lint", directory.path("page.1")])
    #expect(output == "")
    #expect(end == .status(0))
  }

  @Test(arguments: [(Tool.bash, DocumentationOptions.Kind.bash), (.zsh, .zsh), (.fish, .fish)])
  func shellsReadTheirScripts(shell: Tool, kind: DocumentationOptions.Kind) throws {
    guard shell.isInstalled else { return }
    let directory = try TemporaryDirectory()
    try directory.write(Array(DocumentationOptions(kind).text.utf8), to: "script")
    let (end, output) = try shell.run(["-n", directory.path("script")])
    #expect(output == "")
    #expect(end == .status(0))
  }

  /// Words as bash splits them, the last one being completed, and what it offers.
  @Test(
    .enabled(if: Tool.bash.isInstalled, "needs bash"),
    arguments: [
      ("vmm-run ''", Self.commands.joined(separator: " ") + " --help --version"),
      ("vmm-run w", "windows"),
      ("vmm-run doc", ""), ("vmm-run demo --co", "--compare"),
      ("vmm-run check ''", "--json --help"),
      ("vmm-run demo --backing ''", "anonymous memfd hugetlb"),
      ("vmm-run demo --backing = m", "memfd"),
      ("vmm-run demo --backing =", "anonymous memfd hugetlb"),
      ("vmm-run demo --memory ''", ""), ("vmm-run demo --memory --ma", "--map"),
      ("vmm-run run --kernel vml", "vmlinuz"), ("vmm-run run --kernel = vml", "vmlinuz"),
      ("vmm-run run --kernel ''", "a\\ b vm.sock vmlinuz"),
      ("vmm-run run --firmware ''", "auto a\\ b vm.sock vmlinuz"),
      ("vmm-run run --firmware --vars-t", "--vars-template"),
      ("vmm-run run --control unix : vm.", "vm.sock"),
      ("vmm-run run --usb tab", "tablet tablet,keyboard"),
      ("vmm-run ctl vm.", "vm.sock"), ("vmm-run ctl vm.sock re", "resume reboot resize"),
      ("vmm-run ctl unix : vm.sock re", "resume reboot resize"),
      ("vmm-run ctl --output o vm.sock power", "power-button"),
      ("vmm-run ctl --output = o vm.sock power", "power-button"),
      ("vmm-run ctl vm.sock resize ''", ""), ("vmm-run ctl vm.sock info -", "--output --help"),
      ("vmm-run nothing ''", ""),
    ])
  func bashCompletes(line: String, offered: String) throws {
    let directory = try TemporaryDirectory()
    try directory.write(Array(BashCompletion.text.utf8), to: "script")
    let script = """
      source '\(directory.path("script"))' || exit
      mkdir '\(directory.path("here"))' && cd "$_" && touch vmlinuz vm.sock 'a b'
      COMP_WORDS=(\(line)) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
      _vmm_run
      [[ ${#COMPREPLY[@]} -eq 0 ]] || printf '%q ' "${COMPREPLY[@]}"
      """
    let (end, output) = try Tool.bash.run(["-c", script])
    #expect(words(output) == words(offered))
    #expect(end == .status(0))
  }

  private func words(_ text: String) -> [String] {
    text.replacing("\\ ", with: "\u{1}").replacing("\\,", with: ",").split(separator: " ").map(
      String.init
    ).sorted()
  }
}

/// A program of the host.
enum Tool: String, Sendable {
  case bash
  case fish
  case mandoc
  case zsh

  private var path: String { "/usr/bin/\(rawValue)" }
  var isInstalled: Bool { unsafe access(path, X_OK) == 0 }

  /// Runs it; the output is that on both descriptors.
  func run(_ arguments: [String]) throws -> (Program.End, String) {
    let pipe = try TestPipe()
    let program = try Program(
      arguments.map { Array($0.utf8) }, executable: path, output: .descriptor(pipe.writer),
      error: .descriptor(pipe.writer))
    pipe.closeWriter()
    let output = String(decoding: readToEnd(from: pipe.reader), as: UTF8.self)
    return (program.wait(), output)
  }
}
