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

  @Test func names() {
    #expect(SystemCall.execve.description == "execve")
    #expect(SystemCall(rawValue: 462).description == "mseal")
    #expect(SystemCall(rawValue: 5000).description == "5000")
  }
}
