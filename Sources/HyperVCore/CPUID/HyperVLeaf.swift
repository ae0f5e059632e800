/// One CPUID leaf: what the guest gets for one function number, at subleaf 0.
///
/// A thread-safe value.
public struct HyperVLeaf: Hashable, Sendable {
  /// The function number, EAX on input.
  public var function: UInt32
  /// EAX on output.
  public var eax: UInt32
  /// EBX on output.
  public var ebx: UInt32
  /// ECX on output.
  public var ecx: UInt32
  /// EDX on output.
  public var edx: UInt32

  /// Composes a leaf; registers not named are zero.
  public init(
    function: UInt32, eax: UInt32 = 0, ebx: UInt32 = 0, ecx: UInt32 = 0, edx: UInt32 = 0
  ) {
    self.function = function
    self.eax = eax
    self.ebx = ebx
    self.ecx = ecx
    self.edx = edx
  }
}

extension HyperVLeaf: CustomStringConvertible {
  /// All five numbers in hexadecimal.
  public var description: String {
    "\(function.hexadecimal): eax \(eax.hexadecimal), ebx \(ebx.hexadecimal), "
      + "ecx \(ecx.hexadecimal), edx \(edx.hexadecimal)"
  }
}
