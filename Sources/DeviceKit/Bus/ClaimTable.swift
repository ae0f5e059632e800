/// Which device has which addresses of a bus; never changes, so that vCPU threads look them up
/// without a lock.
///
/// Not generic: the type of its entries would have to be made at every start of the process, which
/// takes as long as all else that a bus does then.
struct ClaimTable: Sendable {
  struct Claim: Sendable {
    let start: UInt64
    /// The last address; unlike the one after it, it always fits.
    let last: UInt64
    fileprivate let place: Place

    init(start: UInt64, last: UInt64, device: any BusDevice) {
      self.start = start
      self.last = last
      place = Place(device)
    }

    var deviceName: String { String(describing: type(of: place.device)) }
  }

  /// Holds a device for as long as the table lives.
  fileprivate final class Place: Sendable {
    let device: any BusDevice

    init(_ device: any BusDevice) {
      self.device = device
    }
  }

  /// A claim as `withDevice` looks it up. The reference is not counted: else every access would
  /// retain and release it, by locked operations (`measure exits`).
  @safe
  private struct Entry: Sendable {
    let start: UInt64
    let last: UInt64
    let place: Unmanaged<Place>
  }

  /// Ascending and disjoint.
  private let entries: [Entry]
  /// Keep alive what `entries` refer to.
  private let places: [Place]

  /// A table of these claims.
  ///
  /// - Parameter overlap: makes the error for the lowest two claims that share an address, the one
  ///   that starts first, or was given first, in front.
  init(_ claims: [Claim], overlap: (Claim, Claim) -> BusError) throws(BusError) {
    // The sort is stable: of claims that start together, the one given first is named first.
    let claims = claims.sorted { $0.start < $1.start }
    // Neighbours suffice: as long as none overlap, ends ascend with starts.
    for (lower, upper) in zip(claims, claims.dropFirst()) where upper.start <= lower.last {
      throw overlap(lower, upper)
    }
    places = claims.map(\.place)
    entries = claims.map {
      unsafe Entry(start: $0.start, last: $0.last, place: Unmanaged.passUnretained($0.place))
    }
  }

  /// Calls `access` with the device that claims an address, the one whose range starts last at or
  /// below it and reaches that far, and the offset from that start; nil if none claims it.
  @inline(__always)
  func withDevice<Value>(
    at address: UInt64, _ access: (any BusDevice, _ offset: UInt64) -> Value
  ) -> Value? {
    let entries = entries.span
    var low = 0
    var high = entries.count
    while low < high {
      // Unsigned and without overflow checks: twice a count fits.
      let middle = Int(bitPattern: UInt(bitPattern: low &+ high) / 2)
      if entries[middle].start <= address {
        low = middle &+ 1
      } else {
        high = middle
      }
    }
    guard low > 0 else { return nil }
    let entry = entries[low &- 1]
    guard address <= entry.last else { return nil }
    // SAFETY: `places`, which never changes, holds the place as long as self.
    return unsafe entry.place._withUnsafeGuaranteedRef {
      // Does not wrap: the search ended behind a start at or below the address.
      access($0.device, address &- entry.start)
    }
  }
}

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
