/// A bug check code of Windows: why it stopped. Open: most codes have no name here. A thread-safe
/// value.
///
/// Source: Windows driver documentation, "Bug Check Code Reference".
public struct BugCheck: RawRepresentable, Hashable, Sendable {
  /// The code, as in CRASH_P0.
  public let rawValue: UInt64

  /// Wraps a code.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// Set in the codes of what was written to a minidump as well; their names end in `_M`.
  private static let minidumpBit: UInt64 = 0x1000_0000

  /// The name, if it is one of the well known.
  public var name: String? {
    if let name = Self.names[rawValue] { return name }
    guard rawValue & Self.minidumpBit != 0 else { return nil }
    return Self.names[rawValue & ~Self.minidumpBit].map { $0 + "_M" }
  }

  /// What the four parameters mean, where that is always the same; empty texts otherwise.
  public var parameterMeanings: [String] {
    Self.meanings[rawValue & ~Self.minidumpBit] ?? ["", "", "", ""]
  }

  private static let names: [UInt64: String] = [
    0x01: "APC_INDEX_MISMATCH", 0x0A: "IRQL_NOT_LESS_OR_EQUAL", 0x18: "REFERENCE_BY_POINTER",
    0x19: "BAD_POOL_HEADER", 0x1A: "MEMORY_MANAGEMENT", 0x1E: "KMODE_EXCEPTION_NOT_HANDLED",
    0x22: "FILE_SYSTEM", 0x23: "FAT_FILE_SYSTEM", 0x24: "NTFS_FILE_SYSTEM",
    0x2E: "DATA_BUS_ERROR", 0x31: "PHASE0_INITIALIZATION_FAILED",
    0x32: "PHASE1_INITIALIZATION_FAILED", 0x3B: "SYSTEM_SERVICE_EXCEPTION",
    0x3D: "INTERRUPT_EXCEPTION_NOT_HANDLED",
    0x3E: "MULTIPROCESSOR_CONFIGURATION_NOT_SUPPORTED", 0x44: "MULTIPLE_IRP_COMPLETE_REQUESTS",
    0x4E: "PFN_LIST_CORRUPT", 0x50: "PAGE_FAULT_IN_NONPAGED_AREA", 0x51: "REGISTRY_ERROR",
    0x5A: "CRITICAL_SERVICE_FAILED", 0x5C: "HAL_INITIALIZATION_FAILED",
    0x5D: "UNSUPPORTED_PROCESSOR", 0x67: "CONFIG_INITIALIZATION_FAILED",
    0x69: "IO1_INITIALIZATION_FAILED", 0x6B: "PROCESS1_INITIALIZATION_FAILED",
    0x74: "BAD_SYSTEM_CONFIG_INFO", 0x77: "KERNEL_STACK_INPAGE_ERROR", 0x78: "PHASE0_EXCEPTION",
    0x79: "MISMATCHED_HAL", 0x7A: "KERNEL_DATA_INPAGE_ERROR", 0x7B: "INACCESSIBLE_BOOT_DEVICE",
    0x7C: "BUGCODE_NDIS_DRIVER", 0x7E: "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
    0x7F: "UNEXPECTED_KERNEL_MODE_TRAP", 0x80: "NMI_HARDWARE_FAILURE",
    0x8E: "KERNEL_MODE_EXCEPTION_NOT_HANDLED", 0x93: "INVALID_KERNEL_HANDLE",
    0x9C: "MACHINE_CHECK_EXCEPTION", 0x9F: "DRIVER_POWER_STATE_FAILURE",
    0xA0: "INTERNAL_POWER_ERROR", 0xA1: "PCI_BUS_DRIVER_INTERNAL", 0xA3: "ACPI_DRIVER_INTERNAL",
    0xA5: "ACPI_BIOS_ERROR", 0xAC: "HAL_MEMORY_ALLOCATION",
    0xBE: "ATTEMPTED_WRITE_TO_READONLY_MEMORY", 0xC1: "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION",
    0xC2: "BAD_POOL_CALLER", 0xC4: "DRIVER_VERIFIER_DETECTED_VIOLATION",
    0xC5: "DRIVER_CORRUPTED_EXPOOL", 0xC9: "DRIVER_VERIFIER_IOMANAGER_VIOLATION",
    0xCE: "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS",
    0xD1: "DRIVER_IRQL_NOT_LESS_OR_EQUAL", 0xD5: "DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL",
    0xE0: "ACPI_BIOS_FATAL_ERROR", 0xE2: "MANUALLY_INITIATED_CRASH",
    0xEA: "THREAD_STUCK_IN_DEVICE_DRIVER", 0xED: "UNMOUNTABLE_BOOT_VOLUME",
    0xEF: "CRITICAL_PROCESS_DIED", 0xF0: "STORAGE_MINIPORT_ERROR",
    0xF4: "CRITICAL_OBJECT_TERMINATION", 0xF7: "DRIVER_OVERRAN_STACK_BUFFER",
    0xFC: "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY", 0xFE: "BUGCODE_USB_DRIVER",
    0x100: "LOADER_BLOCK_MISMATCH", 0x101: "CLOCK_WATCHDOG_TIMEOUT",
    0x109: "CRITICAL_STRUCTURE_CORRUPTION", 0x10D: "WDF_VIOLATION",
    0x113: "VIDEO_DXGKRNL_FATAL_ERROR", 0x116: "VIDEO_TDR_FAILURE",
    0x119: "VIDEO_SCHEDULER_INTERNAL_ERROR", 0x122: "WHEA_INTERNAL_ERROR",
    0x124: "WHEA_UNCORRECTABLE_ERROR", 0x127: "PAGE_NOT_ZERO",
    0x12B: "FAULTY_HARDWARE_CORRUPTED_PAGE", 0x131: "INVALID_EXTENDED_PROCESSOR_STATE",
    0x133: "DPC_WATCHDOG_VIOLATION", 0x139: "KERNEL_SECURITY_CHECK_FAILURE",
    0x13A: "KERNEL_MODE_HEAP_CORRUPTION", 0x13D: "CRITICAL_INITIALIZATION_FAILURE",
    0x144: "BUGCODE_USB3_DRIVER", 0x145: "SECURE_BOOT_VIOLATION", 0x149: "REFS_FILE_SYSTEM",
    0x154: "UNEXPECTED_STORE_EXCEPTION", 0x17E: "MICROCODE_REVISION_MISMATCH",
    0x18B: "SECURE_KERNEL_ERROR", 0x18C: "HYPERGUARD_VIOLATION",
    0x1CA: "SYNTHETIC_WATCHDOG_TIMEOUT", 0x2_0001: "HYPERVISOR_ERROR",
    0xC000_0218: "STATUS_CANNOT_LOAD_REGISTRY_FILE",
    0xC000_021A: "STATUS_SYSTEM_PROCESS_TERMINATED", 0xDEAD_DEAD: "MANUALLY_INITIATED_CRASH1",
  ]

  private static let access = "0 read, 1 write, 8 execute"
  private static let code = "address of the code"
  private static let exception = ["exception", code, "exception record", "context record"]

  private static let meanings: [UInt64: [String]] = [
    0x0A: ["address accessed", "IRQL", access, code],
    0xD1: ["address accessed", "IRQL", access, code],
    0x1A: ["kind of fault", "", "", ""],
    0x1E: ["exception", code, "first parameter of the exception", "second"],
    0x3B: ["exception", code, "context record", ""],
    0x50: ["address accessed", "kind of access, 0 read", code, ""],
    0x7B: ["boot device, object or name", "", "", ""],
    0x7E: exception, 0x8E: ["exception", code, "trap frame", ""],
    0x7F: ["trap", "", "", ""],
    0xEF: ["process", "", "", ""],
    0x101: ["timeout in clock ticks", "", "control block of the processor", ""],
    0x124: ["kind of error source", "error record", "", ""],
    0x127: ["address of the page", "page number", "", ""],
    0x133: ["0 one DPC, 1 all together", "time in ticks", "allotment in ticks", ""],
    0x139: ["kind of corruption", "trap frame", "exception record", ""],
  ]
}
