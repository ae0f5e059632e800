import CLinux
import HostSystem
import Testing

@testable import Sandbox

/// The programs, as an interpreter runs them: nothing is installed.
@Suite struct SeccompFilterTests {
  private let filter = SeccompFilter(
    [
      SystemCallRule(
        .ioctl, anyOf: [[.argument(1, is: 7)], [.argument(0, is: 2), .argument(1, lacks: 0xF0)]]),
      SystemCallRule(.clone3, answer: .fail(38)),
      SystemCallRule(.mmap, anyOf: [[.argument(2, lacks: 4), ArgumentTest(3, mask: 3, is: 2)]]),
      SystemCallRule(.read),
    ], role: 5)

  @Test func whatNoRuleNamesIsForbidden() {
    for number in UInt32(0)..<600 {
      let call = SystemCall(rawValue: number)
      let verdict = filter.verdict(on: Call(call))
      switch call {
      case .read: #expect(verdict == .allowed)
      case .clone3: #expect(verdict == .failed(38))
      default: #expect(verdict == .forbidden(role: 5), "\(call)")
      }
    }
  }

  @Test func alternatives() {
    func verdict(_ arguments: [Int: UInt64]) -> Verdict? {
      filter.verdict(on: Call(.ioctl, arguments))
    }
    #expect(verdict([1: 7]) == .allowed)
    #expect(verdict([0: 1, 1: 8]) == .forbidden(role: 5))
    #expect(verdict([0: 2, 1: 8]) == .allowed)
    #expect(verdict([0: 2, 1: 0x18]) == .forbidden(role: 5))
    #expect(verdict([0: 3, 1: 8]) == .forbidden(role: 5))
  }

  @Test func allTestsOfAnAlternative() {
    func verdict(_ protection: UInt64, _ flags: UInt64) -> Verdict? {
      filter.verdict(on: Call(.mmap, [2: protection, 3: flags]))
    }
    #expect(verdict(3, 2) == .allowed)
    #expect(verdict(3, 0xF2) == .allowed)
    #expect(verdict(7, 2) == .forbidden(role: 5))
    #expect(verdict(3, 3) == .forbidden(role: 5))
  }

  /// The kernel, too, ignores what is above bit 31 of these arguments.
  @Test func highHalvesDoNotCount() {
    #expect(filter.verdict(on: Call(.ioctl, [1: 0xFFFF_FFFF_0000_0007])) == .allowed)
  }

  @Test func otherArchitectures() {
    var call = Call(.read)
    // AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64.
    for architecture in [0x4000_0003, 0xC000_00B7, 0] as [UInt32] {
      call.architecture = architecture
      #expect(filter.verdict(on: call) == .forbidden(role: 5))
    }
  }

  @Test func x32() {
    var call = Call(.read)
    call.number |= CLINUX_X32_BIT
    #expect(filter.verdict(on: call) == .forbidden(role: 5))
    call.number = .max
    #expect(filter.verdict(on: call) == .forbidden(role: 5))
  }

  /// The kernel refuses a program that could run past its end.
  @Test(arguments: ThreadRole.allCases)
  func everyJumpStaysInside(role: ThreadRole) {
    var policy = SandboxPolicy()
    policy.usesWriteProtection = true
    policy.replacesFiles = true
    let program = policy.filter(for: role).program
    #expect(program.count < 4096)
    for (index, instruction) in program.enumerated() {
      switch instruction.code {
      case CLINUX_BPF_JUMP: #expect(index + 1 + Int(instruction.operand) < program.count)
      case CLINUX_BPF_RETURN: break
      default:
        let furthest = max(instruction.ifTrue, instruction.ifFalse)
        #expect(index + 1 + Int(furthest) < program.count)
      }
    }
    #expect(program.last?.code == CLINUX_BPF_RETURN)
  }

  /// Neighbours that are answered alike, the first number and the last, and blocks that a short
  /// jump does not pass.
  @Test func eachNumberHasItsOwnAnswer() {
    let values = (0..<300).map { [ArgumentTest.argument(1, is: UInt32($0))] }
    let rules = [
      SystemCallRule(SystemCall(rawValue: 0)), SystemCallRule(SystemCall(rawValue: 1)),
      SystemCallRule(SystemCall(rawValue: 2), answer: .fail(1)),
      SystemCallRule(SystemCall(rawValue: 3), anyOf: Array(values.prefix(255))),
      SystemCallRule(SystemCall(rawValue: 5), anyOf: values),
      SystemCallRule(SystemCall(rawValue: CLINUX_X32_BIT - 1)),
    ]
    let filter = SeccompFilter(rules.reversed(), role: 2)
    func verdict(_ number: UInt32, _ argument: UInt64 = 0) -> Verdict? {
      filter.verdict(on: Call(SystemCall(rawValue: number), [1: argument]))
    }
    #expect(verdict(0) == .allowed)
    #expect(verdict(1) == .allowed)
    #expect(verdict(2) == .failed(1))
    for argument in UInt64(0)..<302 {
      #expect(verdict(3, argument) == (argument < 255 ? .allowed : .forbidden(role: 2)))
      #expect(verdict(5, argument) == (argument < 300 ? .allowed : .forbidden(role: 2)))
    }
    #expect(verdict(4) == .forbidden(role: 2))
    #expect(verdict(6) == .forbidden(role: 2))
    #expect(verdict(CLINUX_X32_BIT - 2) == .forbidden(role: 2))
    #expect(verdict(CLINUX_X32_BIT - 1) == .allowed)
    #expect(verdict(CLINUX_X32_BIT) == .forbidden(role: 2))
  }

  /// The kernel checks and compiles a program while nothing else happens: at each start, and as
  /// each thread begins.
  @Test func programsAreShort() {
    let counts = ThreadRole.allCases.map { SandboxPolicy().filter(for: $0).program.count }
    #expect(counts.max() ?? 0 <= 230, "\(counts)")
    #expect(SandboxPolicy().filter(for: .vcpu).program.count <= 130)
  }

  @Test func names() {
    #expect(SystemCall.execve.description == "execve")
    #expect(SystemCall(rawValue: 462).description == "mseal")
    #expect(SystemCall(rawValue: 5000).description == "5000")
  }
}
