import MachineSpecification
import Testing

@testable import VMMCommand

@Suite struct NearestNameTests {
  private static let names = CommandDefinition.demo.options.map(\.name)

  @Test(arguments: [
    ("--memroy", "--memory"), ("--memor", "--memory"), ("-memory", "--memory"),
    ("--MEMORY", "--memory"), ("--cpu", "--cpus"), ("--jsno", "--json"), ("--mpa", "--map"),
    ("--no-zero-memory", "--no-zeroed-memory"), ("--preallocate", "--prealloc"),
    ("--hyper-v", "--hyperv"), ("--trace", "--trace-hypercalls"), ("--gran", "--granularity"),
    ("--mem", "--memory"), ("--backin", "--backing"),
  ])
  func suggests(word: String, name: String) {
    #expect(NearestName.nearest(to: word, among: Self.names) == name)
  }

  @Test(arguments: [
    "--verbose", "--x", "--", "", "-", "--m", "--tr", "--something-else-entirely",
    String(repeating: "memory", count: 10000),
  ])
  func suggestsNothing(word: String) {
    #expect(NearestName.nearest(to: word, among: Self.names) == nil)
  }

  @Test(arguments: [
    ("", "", 0), ("a", "", 1), ("", "abc", 3), ("memory", "memory", 0), ("memroy", "memory", 1),
    ("mmeory", "memory", 1), ("memry", "memory", 1), ("memmory", "memory", 1),
    ("nemory", "memory", 1), ("kitten", "sitting", 3), ("ca", "abc", 3),
  ])
  func distance(first: String, second: String, steps: Int) {
    #expect(NearestName.distance(from: Array(first.utf8), to: Array(second.utf8)) == steps)
    #expect(NearestName.distance(from: Array(second.utf8), to: Array(first.utf8)) == steps)
  }
}
