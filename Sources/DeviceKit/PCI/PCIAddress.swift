/// Where a function is on bus 0, the only bus there is.
public struct PCIAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The device's number, 0 to 31.
  public let device: UInt8
  /// The function's number, 0 to 7.
  public let function: UInt8

  /// The VMM chooses places: numbers outside the ranges are a mistake of ours and trap.
  public init(device: UInt8, function: UInt8 = 0) {
    precondition(device < 32 && function < 8, "PCI device \(device), function \(function)")
    self.device = device
    self.function = function
  }

  /// The place that the low 8 bits of an address register name: device in 7:3, function in 2:0.
  init(encoded: UInt8) {
    device = encoded >> 3
    function = encoded & 7
  }

  /// Device in bits 7:3, function in bits 2:0.
  var encoded: UInt8 {
    device << 3 | function
  }

  /// Orders by device, then function.
  public static func < (left: PCIAddress, right: PCIAddress) -> Bool {
    left.encoded < right.encoded
  }

  /// As `lspci` prints it: `00:1f.0`.
  public var description: String {
    let device = String(device, radix: 16)
    return "00:\(device.count == 1 ? "0" : "")\(device).\(function)"
  }
}
