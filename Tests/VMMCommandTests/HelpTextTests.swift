import MachineSpecification
import Testing

@testable import VMMCommand

@Suite struct HelpTextTests {
  @Test(arguments: [nil, .demo, .check, .run] as [CommandName?])
  func fitsTheTerminal(command: CommandName?) {
    let text = HelpText.text(for: command)
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      #expect(line.count <= HelpText.columnCount)
      #expect(line.last != " ")
    }
    #expect(text.hasSuffix("\n"))
    #expect(text.utf8.allSatisfy { $0 < 128 })
  }

  @Test(arguments: CommandName.allCases)
  func namesEveryOption(command: CommandName) {
    let text = HelpText.text(for: command)
    #expect(text.hasPrefix("Usage: vmm-run \(command)"))
    for option in command.definition.options + [.help] {
      #expect(text.contains(option.synopsis), "\(option.name)")
    }
    #expect(HelpText.text(for: nil).contains("  \(command) "))
  }

  @Test(arguments: CommandName.allCases)
  func examplesAreValid(command: CommandName) throws {
    for example in command.definition.examples {
      let words = example.split(separator: " ").map(String.init)
      #expect(words.first == "vmm-run")
      #expect(throws: Never.self) {
        try Invocation(
          Array(words.dropFirst()), on: .ofHost,
          readConfiguration: { _ in MachineSpec(.program(file: "p")) },
          readSnapshot: { Invocation.snapshot(in: $0) })
      }
    }
  }

  @Test func usageShowsWhatIsNeeded() {
    #expect(
      HelpText.text(for: .run).hasPrefix(
        "Usage: vmm-run run {--program|--kernel|--firmware|--config} FILE [OPTION]...\n"))
    #expect(HelpText.text(for: .demo).hasPrefix("Usage: vmm-run demo [OPTION]...\n"))
    #expect(HelpText.text(for: .run).contains("--disk FILE[,OPTIONS]..."))
  }

  @Test func defaultsInHelpAreTheDefaults() {
    #expect(HelpText.text(for: .demo).contains("(default 1G)"))
    let words = HelpText.text(for: .run).split(whereSeparator: \.isWhitespace)
    #expect(words.joined(separator: " ").contains("(default 64M, with --kernel and --firmware 1G)"))
  }
}
