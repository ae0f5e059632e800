/// A small reproducible generator (SplitMix64), so that a failing property names the seed to repeat.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number whose magnitude, not only its low bits, varies: short and long numbers are as likely.
  mutating func nextOfAnyMagnitude() -> UInt64 {
    next() >> UInt64.random(in: 0...63, using: &self)
  }
}

/// Seeds of the property tests: each is a test case of its own.
let seeds: [UInt64] = [1, 2, 3, 0xDEAD_BEEF, .max]
