import DeviceKit
import Devices

/// One step of a driver's probe: a byte written, or a byte read and what it must be.
enum RegisterStep {
  case out(UInt64, UInt8)
  case `in`(UInt64, UInt8)
}

extension BusDevice {
  /// Does the steps in order; returns those that read something else, with what they read.
  func mismatches(_ steps: [RegisterStep]) -> [String] {
    var found: [String] = []
    for (number, step) in steps.enumerated() {
      switch step {
      case .out(let offset, let value): write(offset: offset, width: 1, value: UInt64(value))
      case .in(let offset, let expected):
        let value = read(offset: offset, width: 1)
        if value != expected {
          found.append(
            "step \(number): offset \(offset) reads 0x\(String(value, radix: 16)), "
              + "not 0x\(String(expected, radix: 16))")
        }
      }
    }
    return found
  }
}
