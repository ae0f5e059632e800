import Bytes

@testable import RemoteFramebuffer

/// A viewer's half of the encodings, written from the specifications: draws updates into a picture.
struct ViewerDecoder {
  /// What stops it.
  enum Failure: Error, Equatable {
    case cut
    case encoding(Int32)
    case stream
    case message(UInt8)
    case leftOver(Int)
  }

  /// What an update held.
  struct Update: Equatable {
    /// By encoding, in order.
    var rectangles: [Part] = []
    /// Pseudo-rectangles with what they carry.
    var news: [News] = []
  }

  struct Part: Equatable {
    var encoding: Int32
    var x: Int
    var y: Int
    var width: Int
    var height: Int
  }

  enum News: Equatable {
    case size(width: Int, height: Int)
    case extendedSize(width: Int, height: Int, reason: Int, status: Int)
    case scanCodes
    case lights(UInt8)
    /// A pointer: its place in the picture of it, its pixels as text, `.` for nothing there.
    case cursor(x: Int, y: Int, [String])
    case name(String)
  }

  let format: PixelFormat
  private(set) var width: Int
  private(set) var height: Int
  /// 0x00RRGGBB.
  private(set) var pixels: [UInt32]
  private var tight = StoredReader()
  /// Of ZRLE and of Zlib, as in Remmina and ssvncviewer.
  private var whole = StoredReader()
  /// Gives so many bytes, or fails.
  private let read: (Int) throws -> [UInt8]

  init(
    _ format: PixelFormat = .own, width: Int, height: Int, read: @escaping (Int) throws -> [UInt8]
  ) {
    self.format = format
    self.width = width
    self.height = height
    pixels = [UInt32](repeating: 0xFF00FF, count: width * height)
    self.read = read
  }

  /// Reads a *FramebufferUpdate* whose type was read.
  mutating func readUpdate() throws -> Update {
    _ = try read(1)
    let count = try short()
    var update = Update()
    for index in 0..<count {
      // An update without a count ends by a rectangle that says so.
      guard index < 0xFFFE else { throw Failure.stream }
      let part = Part(
        encoding: 0, x: try short(), y: try short(), width: try short(), height: try short())
      let encoding = Int32(bitPattern: try read(4).loadBE(at: 0))
      switch encoding {
      case -223:
        resize(part.width, part.height)
        update.news.append(.size(width: part.width, height: part.height))
      case -308:
        let screens = Int(try read(4)[0])
        _ = try read(16 * screens)
        if part.y == 0 { resize(part.width, part.height) }
        update.news.append(
          .extendedSize(
            width: part.width, height: part.height, reason: part.x, status: part.y))
      case -224:
        guard count == 0xFFFF else { throw Failure.stream }
        return update
      case -239: update.news.append(try cursor(part))
      case -307:
        let length = Int(try read(4).loadBE(at: 0, as: UInt32.self))
        update.news.append(.name(String(decoding: try read(length), as: UTF8.self)))
      case -258: update.news.append(.scanCodes)
      case -261: update.news.append(.lights(try read(1)[0]))
      default:
        var part = part
        part.encoding = encoding
        try draw(part)
        update.rectangles.append(part)
      }
    }
    return update
  }

  private func cursor(_ part: Part) throws -> News {
    let colours = try (0..<(part.width * part.height)).map { _ in try pixel() }
    let lineBytes = (part.width + 7) / 8
    let mask = try read(lineBytes * part.height)
    let lines = (0..<part.height).map { y in
      (0..<part.width).map { x in
        guard mask[y * lineBytes + x / 8] >> UInt8(7 - x % 8) & 1 != 0 else { return "." }
        return colours[y * part.width + x] == 0 ? "#" : "o"
      }.joined()
    }
    return .cursor(x: part.x, y: part.y, lines)
  }

  private mutating func resize(_ width: Int, _ height: Int) {
    (self.width, self.height) = (width, height)
    pixels = [UInt32](repeating: 0xFF00FF, count: width * height)
  }

  private mutating func draw(_ part: Part) throws {
    switch part.encoding {
    case 0:
      for y in 0..<part.height { for x in 0..<part.width { set(part, x, y, try pixel()) } }
    case 1:
      let (fromX, fromY) = (try short(), try short())
      let copy = pixels
      for y in 0..<part.height {
        for x in 0..<part.width { set(part, x, y, copy[(fromY + y) * width + fromX + x]) }
      }
    case 2: try drawRRE(part)
    case 5: try drawHextile(part)
    case 6:
      let length = Int(try read(4).loadBE(at: 0, as: UInt32.self))
      let data = try whole.take(try read(length))
      let side = Int(format.bitsPerPixel) / 8
      guard data.count == side * part.width * part.height else { throw Failure.stream }
      for index in 0..<(part.width * part.height) {
        let colour = colour(Array(data[(side * index)..<(side * index + side)]))
        set(part, index % part.width, index / part.width, colour)
      }
    case 7: try drawTight(part)
    case 16: try drawZRLE(part)
    default: throw Failure.encoding(part.encoding)
    }
  }

  private mutating func set(_ part: Part, _ x: Int, _ y: Int, _ colour: UInt32) {
    pixels[(part.y + y) * width + part.x + x] = colour
  }

  private func short() throws -> Int { Int(try read(2).loadBE(at: 0, as: UInt16.self)) }

  // MARK: Pixels

  private func pixel() throws -> UInt32 { colour(try read(Int(format.bitsPerPixel) / 8)) }

  /// A pixel's colours, from the bytes sent.
  private func colour(_ bytes: [UInt8]) -> UInt32 {
    let ordered = format.isBigEndian ? bytes : bytes.reversed()
    let value = ordered.reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    func channel(_ channel: PixelFormat.Channel) -> UInt32 {
      let part = UInt32(value >> UInt64(channel.shift) & UInt64(channel.max))
      return (part * 255 + UInt32(channel.max) / 2) / UInt32(channel.max)
    }
    return channel(format.red) << 16 | channel(format.green) << 8 | channel(format.blue)
  }

  private var compactByteCount: Int {
    let channels = [format.red, format.green, format.blue]
    guard format.bitsPerPixel == 32, format.depth <= 24 else { return Int(format.bitsPerPixel) / 8 }
    let isLow = channels.allSatisfy { $0.mask < 1 << 24 }
    return isLow || channels.allSatisfy { $0.shift >= 8 } ? 3 : 4
  }

  private func compact(_ bytes: [UInt8]) -> UInt32 {
    guard bytes.count == 3, format.bitsPerPixel == 32 else { return colour(bytes) }
    let isLow = [format.red, format.green, format.blue].allSatisfy { $0.mask < 1 << 24 }
    return colour(isLow == format.isBigEndian ? [0] + bytes : bytes + [0])
  }

  private var tightByteCount: Int {
    format.bitsPerPixel == 32 && format.depth == 24
      && [format.red, format.green, format.blue].allSatisfy { $0.max == 255 }
      ? 3 : Int(format.bitsPerPixel) / 8
  }

  private func tight(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    guard tightByteCount == 3 else { return colour(Array(bytes)) }
    return bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }

  private mutating func drawRRE(_ part: Part) throws {
    let count = Int(try read(4).loadBE(at: 0, as: UInt32.self))
    let ground = try pixel()
    for y in 0..<part.height { for x in 0..<part.width { set(part, x, y, ground) } }
    for _ in 0..<count {
      let colour = try pixel()
      let (x, y, width, height) = (try short(), try short(), try short(), try short())
      guard width > 0, height > 0, x + width <= part.width, y + height <= part.height else {
        throw Failure.stream
      }
      for line in y..<(y + height) {
        for column in x..<(x + width) { set(part, column, line, colour) }
      }
    }
  }

  // MARK: Hextile

  private mutating func drawHextile(_ part: Part) throws {
    var (ground, front): (UInt32?, UInt32?)
    for top in stride(from: 0, to: part.height, by: 16) {
      for left in stride(from: 0, to: part.width, by: 16) {
        let (width, height) = (min(16, part.width - left), min(16, part.height - top))
        let kind = try read(1)[0]
        if kind & 1 != 0 {
          for y in 0..<height {
            for x in 0..<width { set(part, left + x, top + y, try pixel()) }
          }
          (ground, front) = (nil, nil)
          continue
        }
        if kind & 2 != 0 { ground = try pixel() }
        if kind & 4 != 0 { front = try pixel() }
        guard let ground else { throw Failure.stream }
        for y in 0..<height { for x in 0..<width { set(part, left + x, top + y, ground) } }
        guard kind & 8 != 0 else { continue }
        for _ in 0..<(try read(1)[0]) {
          guard let colour = kind & 16 != 0 ? try pixel() : front else { throw Failure.stream }
          let place = try read(2)
          let (x, y) = (Int(place[0] >> 4), Int(place[0] & 15))
          for line in y...(y + Int(place[1] & 15)) {
            for column in x...(x + Int(place[1] >> 4)) {
              guard column < width, line < height else { throw Failure.stream }
              set(part, left + column, top + line, colour)
            }
          }
        }
        if kind & 16 != 0 { front = nil }
      }
    }
  }

  // MARK: Tight

  private mutating func drawTight(_ part: Part) throws {
    let control = try read(1)[0]
    let count = part.width * part.height
    if control >> 4 == 8 {
      let colour = tight(try read(tightByteCount)[...])
      for index in 0..<count { set(part, index % part.width, index / part.width, colour) }
      return
    }
    guard control & 0x8F == 0 else { throw Failure.stream }
    var palette: [UInt32] = []
    if control & 0x40 != 0 {
      guard try read(1)[0] == 1 else { throw Failure.stream }
      for _ in 0...(try read(1)[0]) { palette.append(tight(try read(tightByteCount)[...])) }
    }
    let lineBytes = (part.width + 7) / 8
    let byteCount =
      palette.isEmpty
      ? count * tightByteCount : palette.count == 2 ? lineBytes * part.height : count
    var data: [UInt8]
    if byteCount < 12 {
      data = try read(byteCount)
    } else {
      var length = 0
      for shift in [0, 7, 14] {
        let byte = Int(try read(1)[0])
        length |= (shift == 14 ? byte : byte & 0x7F) << shift
        if byte & 0x80 == 0 || shift == 14 { break }
      }
      data = try tight.take(try read(length))
    }
    guard data.count == byteCount else { throw Failure.stream }
    for y in 0..<part.height {
      for x in 0..<part.width {
        let index = y * part.width + x
        if palette.isEmpty {
          let start = index * tightByteCount
          set(part, x, y, tight(data[start..<(start + tightByteCount)]))
        } else if palette.count == 2 {
          set(part, x, y, palette[Int(data[y * lineBytes + x / 8] >> UInt8(7 - x % 8) & 1)])
        } else {
          set(part, x, y, palette[Int(data[index])])
        }
      }
    }
  }

  // MARK: ZRLE

  private mutating func drawZRLE(_ part: Part) throws {
    let length = Int(try read(4).loadBE(at: 0, as: UInt32.self))
    let data = try whole.take(try read(length))
    var place = 0
    func next(_ count: Int) throws -> [UInt8] {
      guard place + count <= data.count else { throw Failure.cut }
      defer { place += count }
      return Array(data[place..<(place + count)])
    }
    func run() throws -> Int {
      var length = 1
      while true {
        let byte = try next(1)[0]
        length += Int(byte)
        if byte < 255 { return length }
      }
    }
    for top in stride(from: 0, to: part.height, by: 64) {
      for left in stride(from: 0, to: part.width, by: 64) {
        let (width, height) = (min(64, part.width - left), min(64, part.height - top))
        let kind = Int(try next(1)[0])
        var palette: [UInt32] = []
        for _ in 0..<(kind & 0x7F) { palette.append(compact(try next(compactByteCount))) }
        var colours: [UInt32] = []
        switch kind {
        case 0:
          for _ in 0..<(width * height) { colours.append(compact(try next(compactByteCount))) }
        case 1: colours = Array(repeating: palette[0], count: width * height)
        case 2...16:
          let bits = kind == 2 ? 1 : kind <= 4 ? 2 : 4
          for _ in 0..<height {
            let line = try next((width * bits + 7) / 8)
            for x in 0..<width {
              let shift = 8 - bits - x * bits % 8
              colours.append(palette[Int(line[x * bits / 8]) >> shift & (1 << bits - 1)])
            }
          }
        case 128:
          while colours.count < width * height {
            let colour = compact(try next(compactByteCount))
            colours += repeatElement(colour, count: try run())
          }
        case 130...255:
          while colours.count < width * height {
            let byte = try next(1)[0]
            colours += repeatElement(
              palette[Int(byte & 0x7F)], count: byte & 0x80 != 0 ? try run() : 1)
          }
        default: throw Failure.stream
        }
        guard colours.count == width * height else { throw Failure.stream }
        for (index, colour) in colours.enumerated() {
          set(part, left + index % width, top + index / width, colour)
        }
      }
    }
    guard place == data.count else { throw Failure.leftOver(data.count - place) }
  }
}

/// Takes stored blocks of a zlib stream that goes on.
struct StoredReader {
  private var hasBegun = false

  mutating func take(_ bytes: [UInt8]) throws -> [UInt8] {
    var bytes = bytes[...]
    if !hasBegun {
      guard bytes.prefix(2).elementsEqual([0x78, 0x01]) else { throw ViewerDecoder.Failure.stream }
      bytes = bytes.dropFirst(2)
      hasBegun = true
    }
    var data: [UInt8] = []
    while !bytes.isEmpty {
      let header = Array(bytes.prefix(5)).map(Int.init)
      guard header.count == 5, header[0] == 0 else { throw ViewerDecoder.Failure.stream }
      let length = header[1] | header[2] << 8
      guard length ^ (header[3] | header[4] << 8) == 0xFFFF, bytes.count >= 5 + length else {
        throw ViewerDecoder.Failure.stream
      }
      data += bytes.dropFirst(5).prefix(length)
      bytes = bytes.dropFirst(5 + length)
    }
    return data
  }
}
