import Glibc
import HostSystem
import Testing

@testable import KVM

/// Descriptors that no file has, and wrappers around them.
enum BadDescriptor {
  /// Above what any test opens; closing it harms nobody.
  static let number: Int32 = 1_000_000

  static var owned: FileDescriptor { FileDescriptor(taking: number) }

  static var system: KVMSystem { KVMSystem(descriptor: owned, runPageByteCount: 4096) }

  static var machine: VirtualMachine {
    VirtualMachine(descriptor: owned, runPageByteCount: 4096, synchronizedRegisterSets: 0)
  }

  /// A vCPU whose run page is a plain, zeroed one.
  static func vcpu() throws -> VCPU {
    let file = FileDescriptor(taking: unsafe open("/dev/zero", O_RDWR | O_CLOEXEC))
    let page = try RunPage(descriptor: file, byteCount: 4096)
    return VCPU(id: 3, descriptor: owned, page: page, machine: machine)
  }

  /// Expects EBADF from a request whose text begins with `operation`.
  static func expectRefusal(
    _ operation: String, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws(KVMError) -> Void
  ) {
    do {
      try body()
      Issue.record("\(operation) succeeded", sourceLocation: sourceLocation)
    } catch {
      guard case .call(let text, let number, _) = error else {
        Issue.record("\(error)", sourceLocation: sourceLocation)
        return
      }
      #expect(number.rawValue == EBADF, sourceLocation: sourceLocation)
      #expect(text.hasPrefix(operation), "\(text)", sourceLocation: sourceLocation)
      #expect("\(error)".contains("(EBADF)"), sourceLocation: sourceLocation)
    }
  }
}
