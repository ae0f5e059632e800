import CLinux

@testable import Sandbox

/// What seccomp sees of a call.
struct Call {
  var number: UInt32
  var architecture = CLINUX_AUDIT_ARCH_X86_64
  var arguments: [UInt64] = Array(repeating: 0, count: 6)

  init(_ call: SystemCall, _ arguments: [Int: UInt64] = [:]) {
    number = call.rawValue
    for (index, value) in arguments { self.arguments[index] = value }
  }

  /// The 32-bit word at a byte offset of `struct seccomp_data`.
  func word(at offset: UInt32) -> UInt32? {
    switch offset {
    case 0: return number
    case 4: return architecture
    case 16..<64 where offset % 4 == 0:
      let argument = arguments[Int(offset - 16) / 8]
      return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
    default: return nil
    }
  }
}

enum Verdict: Equatable {
  case allowed
  case failed(UInt32)
  case forbidden(role: UInt32)
}

extension SeccompFilter {
  /// Runs the program as the kernel does, but for the instructions it does not use. Nil where the
  /// kernel would not have taken it: a jump past the end, a word that is not there, an unknown
  /// code.
  func verdict(on call: Call) -> Verdict? {
    run(call).verdict
  }

  /// The verdict, and how many instructions it took.
  func run(_ call: Call) -> (verdict: Verdict?, count: Int) {
    var count = 0
    let verdict = run(call, &count)
    return (verdict, count)
  }

  private func run(_ call: Call, _ count: inout Int) -> Verdict? {
    var accumulator: UInt32 = 0
    var next = 0
    while program.indices.contains(next) {
      let instruction = program[next]
      next += 1
      count += 1
      switch instruction.code {
      case CLINUX_BPF_LOAD:
        guard let word = call.word(at: instruction.operand) else { return nil }
        accumulator = word
      case CLINUX_BPF_AND: accumulator &= instruction.operand
      case CLINUX_BPF_JUMP: next += Int(instruction.operand)
      case CLINUX_BPF_IF_EQUAL:
        next += Int(
          accumulator == instruction.operand ? instruction.ifTrue : instruction.ifFalse)
      case CLINUX_BPF_IF_AT_LEAST:
        next += Int(
          accumulator >= instruction.operand ? instruction.ifTrue : instruction.ifFalse)
      case CLINUX_BPF_RETURN:
        let data = instruction.operand & 0xFFFF
        switch instruction.operand & 0xFFFF_0000 {
        case CLINUX_SECCOMP_ALLOW: return .allowed
        case CLINUX_SECCOMP_ERRNO: return .failed(data)
        case CLINUX_SECCOMP_TRAP: return .forbidden(role: data)
        default: return nil
        }
      default: return nil
      }
    }
    return nil
  }
}
