/// Why a bus cannot be built.
public enum BusError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Two claims share a port; `lower` starts first, or was given first. The devices are type names.
  case overlap(lower: PortRange, lowerDevice: String, upper: PortRange, upperDevice: String)
  /// Two claims share an address; named as in `overlap`.
  case memoryOverlap(lower: MMIORange, lowerDevice: String, upper: MMIORange, upperDevice: String)

  /// One line: both claims, and what to do.
  public var description: String {
    switch self {
    case .overlap(let lower, let lowerDevice, let upper, let upperDevice):
      "cannot attach \(upperDevice) at \(upper): \(lowerDevice) has \(lower); "
        + "give each device ports of its own"
    case .memoryOverlap(let lower, let lowerDevice, let upper, let upperDevice):
      "cannot attach \(upperDevice) at \(upper): \(lowerDevice) has \(lower); "
        + "give each device addresses of its own"
    }
  }
}
