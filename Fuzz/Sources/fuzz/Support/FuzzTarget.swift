import HostSystem
internal import Sandbox

/// One trust boundary under fuzzing. What must not happen is a trap: of the code behind the
/// boundary, or of `require` in the target.
///
/// Inputs come one after the other on one thread. What a run does must depend on its input alone,
/// or what is found cannot be repeated.
protocol FuzzTarget: AnyObject {
  /// On the command line, and the folder of its corpus.
  static var name: String { get }
  /// The longest input worth trying.
  static var maximumInputByteCount: Int { get }
  /// The thread of the program that runs what is behind the boundary: a vCPU's, if not said.
  static var role: ThreadRole { get }

  /// Makes what all inputs share.
  init() throws

  /// Takes one input.
  func run(_ input: FuzzInput)
}

extension FuzzTarget {
  static var role: ThreadRole { .vcpu }
}

/// Ends the process, and with it the input, if something is not as it must be. Not `precondition`:
/// its message is lost in release builds.
func require(
  _ isTrue: Bool, _ message: @autoclosure () -> String, line: UInt = #line,
  file: StaticString = #fileID
) {
  if !isTrue { fatalError(message(), file: file, line: line) }
}
