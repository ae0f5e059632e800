import CKVM
import HostSystem
import Testing

@testable import Sandbox

/// Who may ask for what: by the program of each role, run by the interpreter.
@Suite struct SandboxPolicyTests {
  private static let processID: UInt32 = 4711

  private static func filter(_ role: ThreadRole, full: Bool = false) -> SeccompFilter {
    var policy = SandboxPolicy()
    policy.usesWriteProtection = full
    policy.replacesFiles = full
    policy.servesViewers = full
    policy.hasTPM = full
    policy.hasNetwork = full
    policy.servesControl = full
    policy.hasChildren = full
    policy.savesMachines = full
    policy.migrates = full
    return SeccompFilter(
      policy.rules(for: role, processID: processID), role: role.rawValue)
  }

  private func isAllowed(
    _ call: SystemCall, _ arguments: [Int: UInt64] = [:], by role: ThreadRole, full: Bool = false
  ) -> Bool {
    Self.filter(role, full: full).verdict(on: Call(call, arguments)) == .allowed
  }

  /// Arguments that the first alternative of a permission takes.
  private func arguments(for permission: SandboxPermission) -> [Int: UInt64] {
    Dictionary(
      (permission.alternatives.first ?? []).map { ($0.index, UInt64($0.value)) },
      uniquingKeysWith: { first, _ in first })
  }

  @Test(arguments: ThreadRole.allCases, [false, true])
  func exactlyTheList(role: ThreadRole, full: Bool) {
    let filter = Self.filter(role, full: full)
    for number in UInt32(0)..<600 {
      let call = SystemCall(rawValue: number)
      guard call != .ioctl, call != .tgkill else { continue }
      let permission = SandboxPermission.all.first { $0.call == call }
      let verdict = filter.verdict(on: Call(call, permission.map(arguments) ?? [:]))
      if let permission, permission.roles.contains(role), permission.need == nil || full {
        #expect(verdict == (call == .clone3 ? .failed(38) : .allowed), "\(call)")
      } else {
        #expect(verdict == .forbidden(role: UInt32(role.rawValue)), "\(call)")
      }
    }
  }

  @Test(arguments: ThreadRole.allCases, [false, true])
  func exactlyTheRequests(role: ThreadRole, full: Bool) {
    let filter = Self.filter(role, full: full)
    let allowed = SandboxRequest.all
      .filter { $0.roles.contains(role) && ($0.need == nil || full) }.map(\.number)
    // All of KVM's, of terminals and of userfaultfd; the size of the argument included.
    let numbers = SandboxRequest.all.map(\.number) + (0xAE00...0xAEFF) + (0x5400...0x54FF)
    let wrong = numbers.flatMap { [$0, $0 ^ 0x1_0000, $0 ^ 0x8000_0000] }.filter { number in
      filter.verdict(on: Call(.ioctl, [1: UInt64(number)]))
        != (allowed.contains(number) ? .allowed : .forbidden(role: UInt32(role.rawValue)))
    }
    #expect(wrong == [])
    // TIOCSTI: types into the terminal.
    #expect(filter.verdict(on: Call(.ioctl, [1: 0x5412])) != .allowed)
  }

  /// Filters add up, and all threads have that of the service threads.
  @Test func serviceThreadsMayAllThatOthersMay() {
    for permission in SandboxPermission.all where !permission.roles.contains(.service) {
      #expect(
        SandboxPermission.all.contains {
          $0.call == permission.call && $0.roles.contains(.service) && $0.need == nil
            && $0.alternatives.isEmpty
        }, "\(permission.call)")
    }
    for request in SandboxRequest.all { #expect(request.roles.contains(.service)) }
  }

  @Test(arguments: ThreadRole.allCases)
  func noMemoryIsExecutable(role: ThreadRole) {
    for call in [SystemCall.mmap, .mprotect] {
      for protection in UInt64(0)..<16 {
        #expect(
          isAllowed(call, [2: protection], by: role) == (protection & 4 == 0),
          "\(call) \(protection)")
      }
    }
    // pkey_mprotect, shmat, remap_file_pages, process_vm_writev.
    for number in [329, 30, 216, 311] as [UInt32] {
      #expect(!isAllowed(SystemCall(rawValue: number), by: role))
    }
  }

  /// execve, execveat, fork, vfork, ptrace, kill, socket, connect, open, creat, mount, bpf,
  /// io_uring, setuid, chmod, prctl, keyctl, unshare, setns, perf_event_open, init_module,
  /// pidfd_open.
  @Test(
    arguments: ThreadRole.allCases,
    [
      59, 322, 57, 58, 101, 62, 41, 42, 2, 85, 165, 321, 425, 105, 90, 157, 250, 272, 308, 298, 175,
      434,
    ] as [UInt32])
  func neverByAnybody(role: ThreadRole, number: UInt32) {
    #expect(!isAllowed(SystemCall(rawValue: number), by: role, full: true))
  }

  @Test func onlyServiceThreadsMakeThreads() {
    // What glibc's pthread_create asks for.
    let thread: UInt64 = 0x3D_0F00
    #expect(isAllowed(.clone, [0: thread], by: .service))
    #expect(!isAllowed(.clone, [0: thread], by: .vcpu))
    #expect(!isAllowed(.clone, [0: thread], by: .disk))
    // A process as by fork: SIGCHLD; a thread in a new user namespace; one that is traced.
    for flags in [17, thread | 0x1000_0000, thread | 0x2000, thread & ~0x1_0000] as [UInt64] {
      #expect(!isAllowed(.clone, [0: flags], by: .service))
    }
  }

  @Test func onlyServiceThreadsOpenFiles() {
    // O_RDWR | O_CLOEXEC; with O_CREAT; with O_TRUNC.
    #expect(isAllowed(.openat, [2: 0o2000002], by: .service))
    for flags in [0o101, 0o1001] as [UInt64] {
      #expect(!isAllowed(.openat, [2: flags], by: .service))
      #expect(isAllowed(.openat, [2: flags], by: .service, full: true))
    }
    #expect(!isAllowed(.openat, by: .vcpu, full: true))
    #expect(!isAllowed(.openat, by: .disk, full: true))
  }

  @Test(arguments: ThreadRole.allCases)
  func signalsStayInTheProcess(role: ThreadRole) {
    #expect(isAllowed(.tgkill, [0: UInt64(Self.processID)], by: role))
    #expect(!isAllowed(.tgkill, [0: 1], by: role))
    #expect(!isAllowed(.tgkill, [0: UInt64(Self.processID) + 1], by: role))
  }

  @Test func holesOnly() {
    // KEEP_SIZE with PUNCH_HOLE, with ZERO_RANGE; COLLAPSE_RANGE; a growing file.
    #expect(isAllowed(.fallocate, [1: 0x03], by: .disk))
    #expect(isAllowed(.fallocate, [1: 0x11], by: .disk))
    for mode in [0, 0x01, 0x02, 0x08, 0x10, 0x20] as [UInt64] {
      #expect(!isAllowed(.fallocate, [1: mode], by: .disk))
    }
    #expect(!isAllowed(.fallocate, [1: 0x03], by: .vcpu))
  }

  /// The kernel runs the program at every entry into the guest, and once for every number to
  /// prepare.
  @Test func searchesAreShort() {
    let filter = Self.filter(.vcpu, full: true)
    #expect(filter.run(Call(.ioctl, [1: UInt64(CKVM_RUN)])).count <= 24)
    for number in UInt32(0)..<600 {
      #expect(filter.run(Call(SystemCall(rawValue: number))).count <= 150)
    }
    let total = (UInt32(0)..<600).reduce(0) { total, number in
      total + filter.run(Call(SystemCall(rawValue: number))).count
    }
    #expect(total / 600 <= 24)
  }
}
