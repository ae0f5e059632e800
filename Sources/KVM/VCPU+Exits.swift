internal import Bytes
internal import CKVM

extension RunPage {
  /// The exit that the kernel left in the page.
  @inline(__always)
  func decodedExit() -> VCPUExit {
    switch Int32(bitPattern: fields.exit_reason) {
    case KVM_EXIT_IO:
      let access = PortAccess(
        port: fields.io.port, width: Int(fields.io.size), count: Int(fields.io.count))
      return Int32(fields.io.direction) == KVM_EXIT_IO_OUT ? .portOut(access) : .portIn(access)
    case KVM_EXIT_MMIO:
      let byteCount = min(Int(fields.mmio.len), 8)
      guard fields.mmio.is_write != 0 else {
        return .memoryRead(address: fields.mmio.phys_addr, byteCount: byteCount)
      }
      let data = unsafe withUnsafeBytes(of: fields.mmio.data) { bytes in
        unsafe bytes.loadLE(byteCount: 8)
      }
      // KVM leaves what is above the access as it was.
      let value = byteCount == 0 ? 0 : data & .max >> UInt64(64 - 8 * byteCount)
      return .memoryWrite(address: fields.mmio.phys_addr, byteCount: byteCount, value: value)
    case KVM_EXIT_X86_RDMSR:
      return .readMSR(index: fields.msr.index)
    case KVM_EXIT_X86_WRMSR:
      return .writeMSR(index: fields.msr.index, value: fields.msr.data)
    case KVM_EXIT_HYPERV:
      guard Int32(bitPattern: fields.hyperv.type) == KVM_EXIT_HYPERV_HCALL else {
        let change = unsafe fields.hyperv.u.synic
        return .hyperVSynIC(
          msr: change.msr, eventPage: change.evt_page, messagePage: change.msg_page)
      }
      let call = unsafe fields.hyperv.u.hcall
      return .hyperVHypercall(
        input: call.input, inputAddress: call.params.0, outputAddress: call.params.1)
    case KVM_EXIT_HLT: return .halt
    case KVM_EXIT_SHUTDOWN: return .shutdown
    case KVM_EXIT_INTR: return .interrupted
    case KVM_EXIT_SYSTEM_EVENT: return .systemEvent(type: fields.system_event.type)
    case KVM_EXIT_INTERNAL_ERROR:
      return .internalError(subError: fields.internal.suberror)
    case KVM_EXIT_FAIL_ENTRY:
      return .failedEntry(hardwareReason: fields.fail_entry.hardware_entry_failure_reason)
    default:
      return .unknown(reason: fields.exit_reason)
    }
  }
}

extension VCPU {
  /// The data of the `.internalError` just returned: up to 16 words.
  public func internalErrorData() -> [UInt64] {
    let count = min(Int(page.fields.internal.ndata), 16)
    return unsafe withUnsafeBytes(of: page.fields.internal.data) { bytes in
      (0..<count).map { unsafe bytes.load(fromByteOffset: $0 * 8, as: UInt64.self) }
    }
  }

  /// The bytes of the `.portOut` just returned: `width * count`, little-endian items.
  public func portOutput() -> [UInt8] {
    let io = page.fields.io
    return page.load(offset: Int(io.data_offset), byteCount: Int(io.size) * Int(io.count))
  }

  /// The one item of a plain `out`, zero-extended; the first item of a string write.
  public func portOutputValue() -> UInt32 {
    page.loadLE(
      offset: Int(page.fields.io.data_offset), byteCount: Int(page.fields.io.size))
  }

  /// Answers a `.portIn` of one item, a plain `in`, with the low bytes of `value`, as many as the
  /// guest asked for; allocates nothing.
  public func completePortInput(value: UInt32) {
    precondition(page.fields.io.count == 1, "one value for \(page.fields.io.count) items")
    page.storeLE(value, offset: Int(page.fields.io.data_offset))
  }

  /// Answers `.portIn` with `width * count` bytes.
  public func completePortInput(_ bytes: [UInt8]) {
    let io = page.fields.io
    precondition(
      bytes.count == Int(io.size) * Int(io.count),
      "\(bytes.count) bytes for \(io.count) items of \(io.size)")
    page.store(bytes, offset: Int(io.data_offset))
  }

  /// Answers `.memoryRead` with a little-endian value.
  public func completeMemoryRead(_ value: UInt64) {
    // Not by MemoryLayout.offset(of:): fields of an imported anonymous union have none.
    unsafe withUnsafeMutableBytes(of: &page.fields.mmio.data) { data in
      unsafe data.storeLE(value, byteCount: 8)
    }
  }

  /// Answers `.readMSR`; nil raises #GP in the guest.
  public func completeMSRRead(_ value: UInt64?) {
    page.fields.msr.data = value ?? 0
    page.fields.msr.error = value == nil ? 1 : 0
  }

  /// Answers `.writeMSR`; `fault` raises #GP in the guest.
  public func completeMSRWrite(fault: Bool) {
    page.fields.msr.error = fault ? 1 : 0
  }

  /// Answers `.hyperVHypercall` with a hypercall result value; KVM puts it where the caller's mode
  /// expects it.
  public func completeHypercall(_ resultValue: UInt64) {
    unsafe page.fields.hyperv.u.hcall.result = resultValue
  }
}
