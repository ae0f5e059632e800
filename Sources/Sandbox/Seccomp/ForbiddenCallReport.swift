internal import CLinux
internal import Glibc
internal import HostSystem

/// One line on standard error when a thread asks for a forbidden call; then SIGSYS ends the
/// process.
public enum ForbiddenCallReport {
  /// Installs the handler, for the whole process. What handled SIGSYS before comes after the line;
  /// it may restore a terminal, say.
  ///
  /// - Parameters:
  ///   - program: what the line begins with, such as `vmm-run: `.
  ///   - hint: what the reader can do, such as `run with --sandbox off to debug`.
  public static func install(program: String, hint: String) throws(SandboxError) {
    for role in ThreadRole.allCases {
      unsafe clinux_describe_role(UInt32(role.rawValue), "\(program)\(role.article) thread")
    }
    let end =
      ", which the sandbox forbids; this is a bug, or a guest that broke in: \(hint)\n"
    let result = unsafe clinux_install_forbidden_call_handler(end)
    let error = errno
    guard result == 0 else {
      throw .call(operation: "cannot handle SIGSYS", errno: error, cure: nil)
    }
  }
}

extension ThreadRole {
  /// For people: `a vCPU`.
  var article: String {
    switch self {
    case .service: "a service"
    case .vcpu: "a vCPU"
    case .disk: "a disk"
    case .viewer: "a viewer"
    case .tpm: "a TPM"
    case .network: "a network"
    case .balloon: "a balloon"
    case .control: "a control"
    case .vmbus: "a VMBus"
    }
  }
}
