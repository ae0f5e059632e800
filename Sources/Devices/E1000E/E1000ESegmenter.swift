internal import Bytes
internal import DeviceKit

/// Makes frames of a packet: cuts it, if it is to be cut, and puts in checksums and the VLAN tag.
///
/// The guest chose all offsets. What lies outside the frame is left alone.
struct E1000ESegmenter: Sendable {
  /// Behind the tag, the rest of the frame.
  private static let addressByteCount = 12
  private static let minimumByteCount = 14

  /// Bytes of the payload that are in frames.
  private var offset = 0
  private var index = 0
  private var isDone = true
  private(set) var counts = E1000ESentCounts()

  /// A packet is complete.
  mutating func begin(_ packet: borrowing E1000EPacket) {
    (offset, index) = (0, 0)
    isDone = !packet.isWhole
    if packet.isSegmented { counts.segmentedPackets &+= 1 }
  }

  mutating func takeCounts() -> E1000ESentCounts {
    defer { counts = E1000ESentCounts() }
    return counts
  }

  /// Adds the packet's frames, as many as there is room for.
  ///
  /// - Parameter vlanType: of a tag.
  /// - Returns: whether that was all.
  mutating func add(
    _ packet: borrowing E1000EPacket, vlanType: UInt16, to frames: inout NetworkFrames
  ) -> Bool {
    while !isDone {
      guard frames.hasRoom else { return false }
      addFrame(packet, vlanType: vlanType, to: &frames)
    }
    return true
  }

  private mutating func addFrame(
    _ packet: borrowing E1000EPacket, vlanType: UInt16, to frames: inout NetworkFrames
  ) {
    let context = packet.context
    let headerByteCount = packet.isSegmented ? context.headerByteCount : packet.byteCount
    let payloadByteCount = packet.byteCount - headerByteCount
    let segmentByteCount = packet.isSegmented ? context.segmentByteCount : 0
    let count = min(segmentByteCount, payloadByteCount - offset)
    let frameByteCount = headerByteCount + max(count, 0)
    isDone = offset + count >= payloadByteCount
    guard payloadByteCount >= 0, segmentByteCount > 0 || !packet.isSegmented,
      headerByteCount >= Self.minimumByteCount,
      frameByteCount + 4 <= frames.maximumByteCount - frames.headerByteCount
    else {
      isDone = true
      return
    }
    let start = headerByteCount + offset
    frames.begin()
    // SAFETY: a byte is initialised and has no padding.
    let bytes = unsafe packet.bytes.span.bytes
    if let tag = packet.tag {
      frames.append(bytes.extracting(..<Self.addressByteCount))
      frames.extend(byCount: 4) { span in
        span.storeBE(vlanType, at: 0)
        span.storeBE(tag, at: 2)
      }
      frames.append(bytes.extracting(Self.addressByteCount..<headerByteCount))
    } else {
      frames.append(bytes.extracting(..<headerByteCount))
    }
    frames.append(bytes.extracting(start..<start + count))
    let skipped = frames.headerByteCount + (packet.tag == nil ? 0 : 4)
    frames.withOpen { frame in
      finish(&frame, packet, isLast: isDone, skipped: skipped)
    }
    frames.finish()
    offset += count
    index += 1
    note(bytes, byteCount: frameByteCount + (packet.tag == nil ? 0 : 4))
  }

  private mutating func note(_ bytes: RawSpan, byteCount: Int) {
    counts.frames &+= 1
    counts.byteCount &+= max(byteCount, 60) + 4
    let destination = EthernetAddress(bytes)
    guard destination.isGroup else { return }
    if destination == .broadcast { counts.broadcasts &+= 1 } else { counts.multicasts &+= 1 }
  }

  /// Sets what differs from segment to segment, and the checksums.
  ///
  /// - Parameter skipped: bytes in front of what the packet's offsets count from.
  private func finish(
    _ frame: inout MutableRawSpan, _ packet: borrowing E1000EPacket, isLast: Bool, skipped: Int
  ) {
    let context = packet.context
    let end = frame.byteCount
    let ip = skipped + context.ipStart
    let transport = skipped + context.transportStart
    if packet.isSegmented {
      setLengths(&frame, context, ip: ip, transport: transport, isLast: isLast)
    }
    if packet.sumsIP {
      let place = skipped + context.ipChecksum
      let last = context.ipEnd == 0 ? end : min(skipped + context.ipEnd + 1, end)
      if place + 2 <= end, ip < last {
        frame.storeLE(UInt16(0), at: place)
        var sum = InternetChecksum()
        sum.add(frame.bytes.extracting(ip..<last))
        frame.storeBE(~sum.sum, at: place)
      }
    }
    if packet.sumsTransport {
      let place = skipped + context.transportChecksum
      let last = context.transportEnd == 0 ? end : min(skipped + context.transportEnd + 1, end)
      if place + 2 <= end, transport < last {
        var sum = InternetChecksum()
        // The field has the sum of the pseudo header; of a packet that is cut, without the length.
        sum.add(frame.bytes.extracting(transport..<last))
        if packet.isSegmented { sum.add(UInt16(truncatingIfNeeded: last - transport)) }
        let value = ~sum.sum
        frame.storeBE(value == 0 && !context.isTCP ? 0xFFFF : value, at: place)
      }
    }
  }

  private func setLengths(
    _ frame: inout MutableRawSpan, _ context: E1000EContext, ip: Int, transport: Int, isLast: Bool
  ) {
    let end = frame.byteCount
    if ip + 6 <= end {
      if context.isIPv4 {
        frame.storeBE(UInt16(truncatingIfNeeded: end - ip), at: ip + 2)
        let identification: UInt16 = frame.bytes.loadBE(at: ip + 4)
        frame.storeBE(identification &+ UInt16(truncatingIfNeeded: index), at: ip + 4)
      } else {
        frame.storeBE(UInt16(truncatingIfNeeded: end - ip - 40), at: ip + 4)
      }
    }
    if context.isTCP, transport + 14 <= end {
      let sequence: UInt32 = frame.bytes.loadBE(at: transport + 4)
      frame.storeBE(sequence &+ UInt32(truncatingIfNeeded: offset), at: transport + 4)
      var flags: UInt8 = frame.bytes.loadLE(at: transport + 13)
      // FIN and PSH are the last segment's, CWR is the first one's.
      if !isLast { flags &= ~0x09 }
      if index > 0 { flags &= ~0x80 }
      frame.storeLE(flags, at: transport + 13)
    } else if !context.isTCP, transport + 6 <= end {
      frame.storeBE(UInt16(truncatingIfNeeded: end - transport), at: transport + 4)
    }
  }
}
