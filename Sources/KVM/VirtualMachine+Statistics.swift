internal import Bytes
internal import CKVM
internal import Glibc
internal import HostSystem

extension VirtualMachine {
  /// KVM's counters of this VM, by the kernel's names: `pages_4k`, `pages_2m`, `pages_1g` are the
  /// pages it maps for the guest now, by size.
  ///
  /// Only plain counters are returned, no histograms. Any thread. Source: KVM API,
  /// KVM_GET_STATS_FD.
  ///
  /// - Throws: `.missingCapability` before Linux 5.14.
  public func statistics() throws(KVMError) -> [String: UInt64] {
    guard value(of: .statistics) > 0 else {
      throw .missingCapability(.statistics, purpose: "the counters of a VM")
    }
    let file = FileDescriptor(
      taking: try descriptor.call(CKVM_GET_STATS_FD, "KVM_GET_STATS_FD"))
    // struct kvm_stats_header: flags, name_size, num_desc, id_offset, desc_offset, data_offset.
    let header = try file.words(at: 0, count: 6)
    let (nameByteCount, count) = (Int(header[1]), Int(header[2]))
    // struct kvm_stats_desc: flags, exponent and size (16 bits each), offset, bucket_size, name.
    let descriptorByteCount = 16 + nameByteCount
    let descriptors = try file.bytes(at: Int(header[4]), count: count * descriptorByteCount)
    var statistics: [String: UInt64] = [:]
    for index in 0..<count {
      let start = index * descriptorByteCount
      // One value of 64 bits, no histogram.
      guard descriptors.loadLE(at: start + 6, as: UInt16.self) == 1 else { continue }
      let name = descriptors[(start + 16)..<(start + descriptorByteCount)].prefix { $0 != 0 }
      let place: UInt32 = descriptors.loadLE(at: start + 8)
      statistics[String(decoding: name, as: UTF8.self)] =
        try file.bytes(at: Int(header[5]) + Int(place), count: 8).loadLE(at: 0)
    }
    return statistics
  }
}

extension FileDescriptor {
  fileprivate func words(at offset: Int, count: Int) throws(KVMError) -> [UInt32] {
    let bytes = try bytes(at: offset, count: count * 4)
    return (0..<count).map { bytes.loadLE(at: $0 * 4) }
  }

  fileprivate func bytes(at offset: Int, count: Int) throws(KVMError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // SAFETY: the kernel writes at most bytes.count bytes.
    let result = unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe pread(rawValue, bytes.baseAddress, bytes.count, off_t(offset))
    }
    guard result == count else { throw .failed("read \(count) bytes of KVM's counters") }
    return bytes
  }
}
