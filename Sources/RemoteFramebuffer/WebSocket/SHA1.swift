internal import Bytes

/// SHA-1 of short messages, for the answer to a WebSocket's key: no secret depends on it. Source:
/// RFC 3174.
func sha1(_ message: [UInt8]) -> [UInt8] {
  var state: [5 of UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0]
  var padded = message + [0x80]
  padded += repeatElement(0, count: (120 - padded.count % 64) % 64)
  padded += UInt64(8 * message.count).bigEndianBytes
  for start in stride(from: 0, to: padded.count, by: 64) {
    var words = (0..<16).map { padded.loadBE(at: start + 4 * $0, as: UInt32.self) }
    for index in 16..<80 {
      let mixed = words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16]
      words.append(mixed << 1 | mixed >> 31)
    }
    var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
    for index in 0..<80 {
      let (mixed, constant): (UInt32, UInt32) =
        switch index / 20 {
        case 0: (b & c | ~b & d, 0x5A82_7999)
        case 1: (b ^ c ^ d, 0x6ED9_EBA1)
        case 2: (b & c | b & d | c & d, 0x8F1B_BCDC)
        default: (b ^ c ^ d, 0xCA62_C1D6)
        }
      let next = (a << 5 | a >> 27) &+ mixed &+ e &+ words[index] &+ constant
      (a, b, c, d, e) = (next, a, b << 30 | b >> 2, c, d)
    }
    state[0] &+= a
    state[1] &+= b
    state[2] &+= c
    state[3] &+= d
    state[4] &+= e
  }
  return (0..<5).flatMap { state[$0].bigEndianBytes }
}

/// Base64 with padding. Source: RFC 4648, section 4.
func base64(_ bytes: [UInt8]) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  var text = ""
  for start in stride(from: 0, to: bytes.count, by: 3) {
    let count = min(3, bytes.count - start)
    let group = (0..<3).reduce(0) {
      $0 << 8 | ($1 < count ? Int(bytes[start + $1]) : 0)
    }
    for index in 0..<4 {
      text.append(index <= count ? alphabet[group >> (18 - 6 * index) & 0x3F] : "=")
    }
  }
  return text
}
