import Testing

@testable import RemoteFramebuffer

@Suite("What is computed by hand, against known answers")
struct SecurityTests {
  static func hex(_ text: String) -> [UInt8] {
    stride(from: 0, to: text.count, by: 2).map { place in
      UInt8(text.dropFirst(place).prefix(2), radix: 16) ?? 0
    }
  }

  @Test("DES: an example of the literature, and NIST's key and text of zeroes")
  func des() {
    #expect(
      DES(key: Self.hex("133457799BBCDFF1")).encipher(Self.hex("0123456789ABCDEF"))
        == Self.hex("85E813540F0AB405"))
    #expect(
      DES(key: Self.hex("0101010101010101")).encipher(Self.hex("8000000000000000"))
        == Self.hex("95F8A5E5DD31D900"))
  }

  @Test(
    "Passwords: what nine viewers answered",
    arguments: [
      (
        "password", "000102030405060708090a0b0c0d0e0f", "b866924125c8eebb9debc1db61c538e2"
      ),
      (
        "abcdefghIJ", "000102030405060708090a0b0c0d0e0f", "eae3a1cb74ca6daac183f66460190bb5"
      ),
      ("abc", "ffeeddccbbaa99887766554433221100", "1644884249e9149e362672340bc2cd41"),
    ])
  func passwords(password: String, challenge: String, response: String) {
    let authentication = VNCAuthentication(password: Array(password.utf8))
    #expect(authentication.response(to: Self.hex(challenge)) == Self.hex(response))
    #expect(authentication.accepts(Self.hex(response), to: Self.hex(challenge)))
    for bit in 0..<128 {
      var wrong = Self.hex(response)
      wrong[bit / 8] ^= 1 << UInt8(bit % 8)
      #expect(!authentication.accepts(wrong, to: Self.hex(challenge)))
    }
    #expect(!authentication.accepts([], to: Self.hex(challenge)))
  }

  @Test("SHA-1: the examples of RFC 3174, and lengths around a block's end")
  func hashes() {
    #expect(sha1(Array("abc".utf8)) == Self.hex("a9993e364706816aba3e25717850c26c9cd0d89d"))
    #expect(sha1([]) == Self.hex("da39a3ee5e6b4b0d3255bfef95601890afd80709"))
    #expect(
      sha1(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8))
        == Self.hex("84983e441c3bd26ebaae4aa1f95129e5e54670f1"))
    #expect(
      sha1([UInt8](repeating: UInt8(ascii: "a"), count: 64))
        == Self.hex("0098ba824b5c16427bd7a1122a5a442a25ec644d"))
  }

  @Test("Base64: the examples of RFC 4648")
  func base64s() {
    for (text, encoded) in [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
      ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ] {
      #expect(base64(Array(text.utf8)) == encoded)
    }
    #expect(base64([0xFB, 0xFF]) == "+/8=")
  }
}
