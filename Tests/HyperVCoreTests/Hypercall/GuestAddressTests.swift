import HyperVCore
import Testing

@Suite("Guest addresses")
struct GuestAddressTests {
  @Test(
    "page number and offset",
    arguments: [
      (0, 0, 0), (1, 0, 1), (0xFFF, 0, 0xFFF), (0x1000, 1, 0), (0x1008, 1, 8),
      (0xFFFF_FFFF, 0xF_FFFF, 0xFFF), (0x1_0000_0000, 0x10_0000, 0),
      (.max, 0xF_FFFF_FFFF_FFFF, 0xFFF),
    ] as [(UInt64, UInt64, Int)])
  func parts(raw: UInt64, page: UInt64, offset: Int) {
    let address = GuestAddress(rawValue: raw)
    #expect(address.pageNumber == page)
    #expect(address.pageOffset == offset)
  }

  @Test("from a page number: below 2^52 only")
  func fromPage() {
    #expect(GuestAddress(pageNumber: 0)?.rawValue == 0)
    #expect(GuestAddress(pageNumber: 3)?.rawValue == 0x3000)
    #expect(GuestAddress(pageNumber: (1 << 52) - 1)?.rawValue == 0xFFFF_FFFF_FFFF_F000)
    #expect(GuestAddress(pageNumber: 1 << 52) == nil)
    #expect(GuestAddress(pageNumber: .max) == nil)
  }

  @Test("order and text")
  func orderAndText() {
    #expect(GuestAddress(rawValue: 1) < GuestAddress(rawValue: 2))
    #expect(!(GuestAddress(rawValue: .max) < GuestAddress(rawValue: 0)))
    #expect("\(GuestAddress(rawValue: 0x7FF000))" == "0x7ff000")
  }
}
