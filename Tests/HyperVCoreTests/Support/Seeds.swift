/// Seeds of the property tests: each is a test case of its own.
let seeds: [UInt64] = [1, 2, 3, 0xDEAD_BEEF, .max]
