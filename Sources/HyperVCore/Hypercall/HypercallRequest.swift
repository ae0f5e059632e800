/// One hypercall as the guest made it: the three values of the calling convention.
///
/// A thread-safe value, in which nothing has been checked yet.
///
/// Source: TLFS, Hypercall Interface, "Hypercall Inputs".
public struct HypercallRequest: Hashable, Sendable {
  /// The hypercall input value.
  public var input: HypercallInput

  /// The input parameters' GPA in bytes, or data in a fast call, or anything in a call without
  /// input.
  public var inputAddress: GuestAddress

  /// The output parameters' GPA in bytes, or data in a fast call, or anything in a call without
  /// output.
  public var outputAddress: GuestAddress

  /// Composes a request.
  public init(input: HypercallInput, inputAddress: GuestAddress, outputAddress: GuestAddress) {
    self.input = input
    self.inputAddress = inputAddress
    self.outputAddress = outputAddress
  }
}
