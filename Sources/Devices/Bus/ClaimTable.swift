/// Consecutive addresses of one bus.
protocol BusRange: Sendable {
  associatedtype Address: FixedWidthInteger & UnsignedInteger & Sendable

  var start: Address { get }
  /// The last address; unlike the one after it, it always fits.
  var last: Address { get }
}

/// Which device has which addresses; never changes, so that vCPU threads look them up without a lock.
struct ClaimTable<Range: BusRange>: Sendable {
  struct Claim: Sendable {
    let range: Range
    let device: any BusDevice

    var deviceName: String { String(describing: type(of: device)) }
  }

  /// Ascending and disjoint.
  private let claims: [Claim]

  /// A table of these devices.
  ///
  /// - Parameter overlap: makes the error for the lowest two claims that share an address, the one that
  ///   starts first, or was given first, in front.
  init(
    _ devices: [(Range, any BusDevice)], overlap: (Claim, Claim) -> BusError
  ) throws(BusError) {
    // The sort is stable: of claims that start together, the one given first is named first.
    let claims = devices.map { Claim(range: $0.0, device: $0.1) }
      .sorted { $0.range.start < $1.range.start }
    // Neighbours suffice: as long as none overlap, ends ascend with starts.
    for (lower, upper) in zip(claims, claims.dropFirst())
    where upper.range.start <= lower.range.last {
      throw overlap(lower, upper)
    }
    self.claims = claims
  }

  /// The claim on an address: the last one that starts at or below it, if it reaches that far.
  func claim(of address: Range.Address) -> Claim? {
    var low = 0
    var high = claims.count
    while low < high {
      let middle = (low + high) / 2
      if claims[middle].range.start <= address {
        low = middle + 1
      } else {
        high = middle
      }
    }
    guard low > 0, address <= claims[low - 1].range.last else { return nil }
    return claims[low - 1]
  }
}
