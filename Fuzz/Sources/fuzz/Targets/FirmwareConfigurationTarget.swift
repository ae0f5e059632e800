internal import DeviceKit
internal import Devices
internal import GuestMemory

/// fw_cfg by ports and by DMA, with commands in guest memory that the input composes: what is read
/// is the item, zero past its end, and no byte outside the command and its target changes.
final class FirmwareConfigurationTarget: FuzzTarget {
  static let name = "firmware-configuration"
  static let maximumInputByteCount = 512

  private static let ramByteCount: UInt64 = 1 << 20
  private static let file = [UInt8]((0..<200).map { UInt8($0) })
  private static let fileSelector: UInt16 = 0x20
  /// Where commands and data are, mostly; and the last page, which targets pass the end of.
  private static let places: [UInt64] = [0, 0x1000, 0x1FF8, 0x2000, 0xF_F000, 0xF_FFF8]

  private let memory: GuestMemory
  private let items: FirmwareItems

  init() throws {
    memory = try GuestMemory(layout: GuestMemoryLayout(ramByteCount: Self.ramByteCount))
    var items = FirmwareItems(
      vcpuCount: 2, memoryByteCount: Self.ramByteCount, uuid: [UInt8](repeating: 7, count: 16))
    try items.add("opt/fuzz", Self.file)
    self.items = items
  }

  func run(_ input: FuzzInput) {
    let device = FirmwareConfiguration(items: items, memory: memory)
    while !input.isEmpty {
      let action = input.byte
      switch action & 3 {
      case 0:
        let width = 1 << input.index(below: 4)
        let offset = UInt64(input.byte & 15)
        if action & 4 == 0 {
          _ = device.read(offset: offset, width: width)
        } else if offset != 8 {
          device.write(offset: offset, width: width, value: input.uint64)
        }
      case 1: readFile(device, count: input.index(below: 256))
      case 2: transferFile(device, input)
      default: transferAnything(device, input)
      }
    }
  }

  /// By ports: the file, then zeroes.
  private func readFile(_ device: FirmwareConfiguration, count: Int) {
    device.write(offset: 0, width: 2, value: UInt64(Self.fileSelector))
    for index in 0..<count {
      let byte = UInt8(truncatingIfNeeded: device.read(offset: 1, width: 1))
      let expected = index < Self.file.count ? Self.file[index] : 0
      require(byte == expected, "byte \(index) is \(byte)")
    }
  }

  /// A good command: skips, then reads, and compares all of memory around the target.
  private func transferFile(_ device: FirmwareConfiguration, _ input: FuzzInput) {
    let skipped = input.index(below: 256)
    let count = Int(input.uint16 & 0x1FF)
    let target: UInt64 = 0x8000 + UInt64(input.byte)
    try? memory.fill(at: GPA(0x7000), byteCount: 0x3000, with: 0xEE)
    let select = UInt32(Self.fileSelector) << 16 | 8
    require(command(device, select | 4, UInt32(skipped), 0, at: 0x1000) == 0, "a skip failed")
    require(command(device, 2, UInt32(count), target, at: 0x1000) == 0, "a read failed")
    guard let around = try? memory.read(at: GPA(0x7000), byteCount: 0x3000) else { return }
    let start = Int(target) - 0x7000
    for (index, byte) in around.enumerated() {
      let place = index - start
      let source = skipped + place
      let expected: UInt8 =
        (0..<count).contains(place) ? source < Self.file.count ? Self.file[source] : 0 : 0xEE
      require(byte == expected, "byte \(index) of the target is \(byte)")
    }
  }

  /// Any command anywhere. An answer is 0 or 1, or there is none where there is no RAM.
  private func transferAnything(_ device: FirmwareConfiguration, _ input: FuzzInput) {
    let place = input.pick(Self.places) &+ (input.bool ? input.anyMagnitude : UInt64(input.byte))
    let target = input.pick(Self.places) &+ (input.bool ? input.anyMagnitude : UInt64(input.byte))
    // Lengths past RAM fail before they copy; the others are small enough to be fast.
    let byteCount = input.bool ? UInt32(truncatingIfNeeded: input.anyMagnitude) : UInt32(input.byte)
    let answer = command(device, input.uint32, byteCount, target, at: place)
    let isAll = Self.ramByteCount >= 16 && place <= Self.ramByteCount - 16
    require(answer == nil || !isAll || answer! <= 1, "answer \(answer!)")
  }

  /// The control word afterwards; nil if it is not in RAM.
  private func command(
    _ device: FirmwareConfiguration, _ control: UInt32, _ byteCount: UInt32, _ target: UInt64,
    at place: UInt64
  ) -> UInt32? {
    try? memory.store(control.byteSwapped, at: GPA(place))
    try? memory.store(byteCount.byteSwapped, at: GPA(place &+ 4))
    try? memory.store(target.byteSwapped, at: GPA(place &+ 8))
    device.write(offset: 4, width: 4, value: UInt64(UInt32(place >> 32).byteSwapped))
    device.write(
      offset: 8, width: 4, value: UInt64(UInt32(truncatingIfNeeded: place).byteSwapped))
    return (try? memory.load(at: GPA(place), as: UInt32.self)).map(\.byteSwapped)
  }
}
