internal import CLinux
internal import Glibc

/// A program that answers each system call of a thread: allowed, refused with an error, or
/// forbidden.
///
/// A pure value; `install` gives it to the kernel. Forbidden is whatever no rule allows, every call
/// of another architecture (`int 0x80`) and every call of the x32 ABI: the kernel sends SIGSYS
/// (*SECCOMP_RET_TRAP*) with `role` as its data.
public struct SeccompFilter: Hashable, Sendable {
  /// Byte offsets in `struct seccomp_data`.
  private enum Field {
    static let number: UInt32 = 0
    static let architecture: UInt32 = 4

    /// The low half: little endian.
    static func argument(_ index: Int) -> UInt32 { 16 + 8 * UInt32(index) }
  }

  /// What the kernel runs for each call: at most 4096 instructions.
  public let program: [BPFInstruction]

  /// - Parameters:
  ///   - rules: one at most for each call, in any order.
  ///   - role: passed to the handler of SIGSYS, to name the thread.
  public init(_ rules: [SystemCallRule], role: UInt16) {
    let forbidden = BPFInstruction.answer(CLINUX_SECCOMP_TRAP | UInt32(role))
    var program: [BPFInstruction] = [
      .load(Field.architecture), .ifEqual(CLINUX_AUDIT_ARCH_X86_64, skip: 1), forbidden,
      .load(Field.number),
    ]
    program += Self.search(Self.segments(rules, otherwise: forbidden)[...])
    // BPF_MAXINSNS.
    precondition(program.count <= 4096, "\(program.count) instructions")
    self.program = program
  }

  /// Numbers with one answer: from this one to the next segment's.
  private struct Segment {
    let start: UInt32
    let code: [BPFInstruction]
  }

  /// All numbers there are, in order: neighbours that are answered alike are one segment. Calls of
  /// the x32 ABI are those of bit 30, and so behind all others.
  private static func segments(
    _ rules: [SystemCallRule], otherwise forbidden: BPFInstruction
  ) -> [Segment] {
    var segments = [Segment(start: 0, code: [forbidden])]
    func append(_ start: UInt32, _ code: [BPFInstruction]) {
      if segments.last?.start == start { segments.removeLast() }
      if segments.last?.code != code { segments.append(Segment(start: start, code: code)) }
    }
    var next: UInt32 = 0
    for rule in rules.sorted(by: { $0.call.rawValue < $1.call.rawValue }) {
      let number = rule.call.rawValue
      precondition(number >= next, "two rules for \(rule.call)")
      precondition(number < CLINUX_X32_BIT, "\(rule.call) is no call of x86-64")
      append(number, block(rule, otherwise: forbidden))
      next = number + 1
      append(next, [forbidden])
    }
    return segments
  }

  /// Finds the call's segment by halves. What takes no look at arguments the kernel answers from a
  /// bitmap later on, but to fill that it runs the program for every number there is (Linux 5.11).
  private static func search(_ segments: ArraySlice<Segment>) -> [BPFInstruction] {
    let middle = segments.startIndex + segments.count / 2
    guard segments.count > 1 else { return segments[middle].code }
    let below = search(segments[..<middle])
    let above = search(segments[middle...])
    let start = segments[middle].start
    if let distance = UInt8(exactly: below.count) {
      return [.ifAtLeast(start, skip: distance)] + below + above
    }
    return [.unlessAtLeast(start, skip: 1), .jump(below.count)] + below + above
  }

  /// What is done once the call's number has matched.
  private static func block(
    _ rule: SystemCallRule, otherwise forbidden: BPFInstruction
  ) -> [BPFInstruction] {
    let answer: BPFInstruction =
      switch rule.answer {
      case .allow: .answer(CLINUX_SECCOMP_ALLOW)
      case .fail(let error): .answer(CLINUX_SECCOMP_ERRNO | UInt32(error))
      }
    guard !rule.alternatives.isEmpty else { return [answer] }
    if let index = rule.comparedArgument, rule.alternatives.count <= UInt8.max {
      // One look for all values.
      let count = rule.alternatives.count
      return [.load(Field.argument(index))]
        + rule.alternatives.enumerated().map { position, tests in
          .ifEqual(tests[0].value, skip: UInt8(count - position))
        } + [forbidden, answer]
    }
    var block: [BPFInstruction] = []
    for alternative in rule.alternatives {
      block += tests(alternative) + [answer]
    }
    return block + [forbidden]
  }

  /// Falls through if all hold; else skips one instruction behind the last test.
  private static func tests(_ alternative: [ArgumentTest]) -> [BPFInstruction] {
    var tests: [BPFInstruction] = []
    for test in alternative.reversed() {
      var code: [BPFInstruction] = [.load(Field.argument(test.index))]
      if test.mask != .max { code.append(.and(test.mask)) }
      code.append(.unlessEqual(test.value, skip: UInt8(tests.count + 1)))
      tests = code + tests
    }
    return tests
  }
}

extension SeccompFilter {
  /// Puts the calling thread, and all threads it makes from now on, under the filter, for good.
  ///
  /// Filters add up: a call is made only if all allow it. The thread has to have given up new
  /// privileges (`NoNewPrivileges`).
  public func install() throws(SandboxError) {
    var code = program.map {
      sock_filter(code: $0.code, jt: $0.ifTrue, jf: $0.ifFalse, k: $0.operand)
    }
    // SAFETY: the kernel copies the program during the call, with its true length.
    let (result, error) = unsafe code.withUnsafeMutableBufferPointer { buffer in
      var program = unsafe sock_fprog(len: UInt16(buffer.count), filter: buffer.baseAddress)
      let result = unsafe clinux_seccomp_set_filter(&program)
      return (result, errno)
    }
    guard result == 0 else {
      throw .call(
        operation: "cannot install a seccomp filter of \(program.count) instructions",
        errno: error, cure: nil)
    }
  }

  /// Whether the kernel can run such filters.
  public static var isAvailable: Bool {
    clinux_seccomp_action_available(CLINUX_SECCOMP_TRAP) == 0
  }
}

/// *no_new_privs*: no execve(2) gives the thread, or its descendants, more rights than it has.
public enum NoNewPrivileges {
  /// Sets it for the calling thread and those it makes from now on, for good.
  public static func set() throws(SandboxError) {
    let result = clinux_set_no_new_privileges()
    let error = errno
    guard result == 0 else {
      throw .call(operation: "cannot give up new privileges", errno: error, cure: nil)
    }
  }

  /// Whether it is set for the calling thread; nil where the kernel does not know of it.
  public static var isSet: Bool? {
    let result = clinux_no_new_privileges()
    return result < 0 ? nil : result == 1
  }
}
