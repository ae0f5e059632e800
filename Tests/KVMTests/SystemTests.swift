import Glibc
import HostSystem
import Testing

@testable import KVM

/// Opening what is not a usable `/dev/kvm`, and the texts. Needs no KVM.
@Suite struct OpeningTests {
  static let cures: [(Int32, String)] = [
    (
      EACCES,
      "cannot open /dev/kvm: Permission denied (EACCES); add this user to the group that owns the"
        + " device (usually: usermod -aG kvm USER) and log in again"
    ),
    (
      EPERM,
      "cannot open /dev/kvm: Operation not permitted (EPERM); add this user to the group that owns"
        + " the device (usually: usermod -aG kvm USER) and log in again"
    ),
    (
      ENODEV,
      "cannot open /dev/kvm: No such device (ENODEV);"
        + " the KVM module is not loaded: modprobe kvm-intel or kvm-amd"
    ),
    (EIO, "cannot open /dev/kvm: Input/output error (EIO)"),
    (EBUSY, "cannot open /dev/kvm: Device or resource busy (EBUSY)"),
    (
      EMFILE,
      "cannot open /dev/kvm: Too many open files (EMFILE);"
        + " raise the limit of open files (ulimit -n, /proc/sys/fs/file-max)"
    ),
  ]

  @Test(arguments: cures)
  func theErrorNamesTheCure(number: Int32, text: String) {
    errno = number
    #expect("\(KVMError.openingDevice("/dev/kvm"))" == text)
  }

  static let machineCures: [(Int32, String?)] = [
    (EBUSY, "another hypervisor has the processor; stop it, or unload its module"),
    (EMFILE, "raise the limit of open files (ulimit -n, /proc/sys/fs/file-max)"),
    (ENOMEM, "give the host more free memory"),
    (EOPNOTSUPP, "is virtualisation enabled in the firmware?"), (EPERM, nil),
  ]

  @Test("a machine that KVM does not make, and why", arguments: machineCures)
  func machineCure(number: Int32, text: String?) {
    #expect(KVMError.machineCure(Errno(number)) == text)
  }

  /// The descriptors run out at each step: opening, and making the machine.
  @Test func noDescriptorsLeft() async {
    await #expect(processExitsWith: .exitCode(0)) {
      var limit = rlimit(rlim_cur: 0, rlim_max: 0)
      // SAFETY: the limit lives for the call.
      guard unsafe setrlimit(__rlimit_resource_t(7), &limit) == 0 else { _exit(1) }
      do {
        _ = try KVMSystem(path: "/dev/null")
        _exit(2)
      } catch {
        _exit("\(error)".contains("ulimit -n") ? 0 : 3)
      }
    }
  }

  @Test func aMissingDevice() throws {
    let error = try #require(throws: KVMError.self) { try KVMSystem(path: "/nonexistent/kvm") }
    #expect(
      "\(error)".hasPrefix("cannot open /nonexistent/kvm: No such file or directory (ENOENT)"))
    #expect("\(error)".contains("modprobe kvm-intel or kvm-amd"))
  }

  @Test func notAKVMDevice() throws {
    let error = try #require(throws: KVMError.self) { try KVMSystem(path: "/dev/null") }
    #expect(
      "\(error)" == "KVM_GET_API_VERSION on /dev/null: Inappropriate ioctl for device (ENOTTY);"
        + " /dev/null is not a KVM device")
  }

  static let messages: [(KVMError, String)] = [
    (
      .missingCapability(.hyperV, purpose: "hypercall exits"),
      "this kernel's KVM has no KVM_CAP_HYPERV, needed for hypercall exits;"
        + " use a kernel from Linux 2.6.34 on built with CONFIG_KVM_HYPERV"
    ),
    (
      .missingCapability(.userSpaceMSR, purpose: "MSR exits"),
      "this kernel's KVM has no KVM_CAP_X86_USER_SPACE_MSR, needed for MSR exits;"
        + " use a kernel from Linux 5.10 on"
    ),
    (
      .unexpectedAPIVersion(11),
      "/dev/kvm answers API version 11, not 12; this is not a KVM this program can drive"
    ),
    (
      .missingCapability(.hyperVSynIC2, purpose: "SynIC"),
      "this kernel's KVM has no KVM_CAP_HYPERV_SYNIC2, needed for SynIC;"
        + " use a kernel from Linux 4.13 on built with CONFIG_KVM_HYPERV"
    ),
    (.invalidArgument("five"), "five"),
    (
      .call(operation: "KVM_X", error: Errno(9999), cure: nil),
      "KVM_X: error 9999"
    ),
  ]

  @Test(arguments: messages)
  func messagesSayWhatAndWhatToDo(error: KVMError, message: String) {
    #expect("\(error)" == message)
  }

  @Test func anUnknownCapabilityKeepsItsNumber() {
    let capability = KVMCapability(rawValue: 54321)
    #expect("\(capability)" == "capability 54321")
    #expect(capability.cure == "use a kernel from a newer series on")
  }
}

@Suite(
  .enabled(if: KVMDevice.isUsable, "needs read-write /dev/kvm"), .serialized,
  .timeLimit(.minutes(10)))
struct SystemTests {
  @Test func opensAndChecksTheAPIVersion() throws {
    // The initialiser throws for any version but 12.
    let system = try KVMSystem()
    #expect(system.value(of: .memorySlots) >= 32)
    #expect(system.value(of: .maximumVCPUs) >= 1)
    #expect(system.has(.immediateExit))
    #expect(system.value(of: KVMCapability(rawValue: 54321)) == 0)
    #expect(!system.has(KVMCapability(rawValue: 54321)))
  }

  @Test func aMachineAnswersForItself() throws {
    let system = try KVMSystem()
    let machine = try system.makeVirtualMachine()
    #expect(machine.value(of: .memorySlots) == system.value(of: .memorySlots))
    #expect(machine.value(of: KVMCapability(rawValue: 54321)) == 0)
  }

  @Test func everyVCPUNumberOnce() throws {
    let machine = try KVMSystem().makeVirtualMachine()
    let first = try machine.makeVCPU(id: 0)
    #expect(first.id == 0)
    let error = try #require(throws: KVMError.self) { _ = try machine.makeVCPU(id: 0) }
    let limit = machine.value(of: .maximumVCPUs)
    #expect(
      "\(error)" == "KVM_CREATE_VCPU 0: File exists (EEXIST);"
        + " this KVM takes at most \(limit) vCPUs, each number once")
    let second = try machine.makeVCPU(id: 1)
    #expect(second.id == 1)
  }

  @Test func interruptControllersComeBeforeVCPUs() throws {
    let machine = try KVMSystem().makeVirtualMachine()
    let vcpu = try machine.makeVCPU(id: 0)
    let error = try #require(throws: KVMError.self) { try machine.makeInterruptControllers() }
    #expect("\(error)".hasSuffix("it must come before the first vCPU"))
    _ = vcpu.id
  }

  @Test(.enabled(if: !KVMDevice.hasHyperV, "needs a KVM without CONFIG_KVM_HYPERV"))
  func withoutHyperVItsLeavesAreAMissingCapability() throws {
    let system = try KVMSystem()
    #expect(
      throws: KVMError.missingCapability(
        .systemHyperVCPUID, purpose: "the in-kernel Hyper-V interface")
    ) { try system.supportedHyperVCPUID() }
  }

  @Test(.enabled(if: KVMDevice.hasHyperV, "needs KVM_CAP_HYPERV (CONFIG_KVM_HYPERV)"))
  func withHyperVItsLeavesBeginAt0x40000000() throws {
    let leaves = try KVMSystem().supportedHyperVCPUID()
    #expect(leaves.contains { $0.function == 0x4000_0000 })
    #expect(leaves.allSatisfy { 0x4000_0000...0x4000_00FF ~= $0.function })
  }
}
