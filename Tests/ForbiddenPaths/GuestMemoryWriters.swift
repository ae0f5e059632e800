// Ways to guest memory that neither mark nor claim: none of them compiles outside this package.
// scripts/test lets the compiler check that each is refused, and for the reason given.

import GuestMemory
import ZeroTracker

func write(_ memory: GuestMemory) throws {
  // Where RAM is mapped is known to this package only. Others get it with a claim, or for memory
  // slots together with the source that sees what is written through them.
  // expected-error@+1 {{'mappedRegions' is inaccessible due to 'package' protection level}}
  _ = memory.mappedRegions
  // expected-error@+1 {{'mappings' is inaccessible due to 'internal' protection level}}
  _ = memory.mappings
  // expected-error@+1 {{'bytes' is inaccessible due to 'internal' protection level}}
  _ = memory.bytes(at: GPA(0), 1)

  // A claim comes from `claim` alone.
  let claimed = try memory.claim(at: GPA(0), byteCount: 4096, owner: "test")
  _ = claimed.hostAddress
  // expected-error@+1 {{initializer is inaccessible due to 'internal' protection level}}
  _ = ClaimedMemory(guestMemory: memory, start: GPA(0), byteCount: 1, hostAddress: 0)

  // What is lent for reading cannot be written.
  _ = memory.withBytes(at: GPA(0), byteCount: 1) { bytes in
    // expected-error@+1 {{value of type 'RawSpan' has no member 'storeBytes'}}
    bytes.storeBytes(of: 1, toByteOffset: 0, as: UInt8.self)
  }
}
