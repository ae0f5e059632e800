/// FNV-1a, 64 bits (RFC 9923): guards an encoded state against damage, not against an attacker.
///
/// Each step is a bijection of the running value, so a change within one byte is always noticed.
enum StateChecksum {
  static let byteCount = 8

  static func value(of bytes: Span<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in bytes.indices { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3 }
    return hash
  }
}
