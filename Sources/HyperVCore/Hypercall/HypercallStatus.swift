/// What became of a hypercall: bits 15:0 of the hypercall result value.
///
/// Open: an unknown status survives and can be printed. A thread-safe value.
///
/// Source: TLFS 6.0b appendix B; TLFS, "Hypercall Status Codes".
public struct HypercallStatus: RawRepresentable, Hashable, Sendable {
  /// The status code.
  public let rawValue: UInt16

  /// Wraps a status code.
  public init(rawValue: UInt16) {
    self.rawValue = rawValue
  }

  private init(_ rawValue: UInt16) {
    self.rawValue = rawValue
  }

  /// *HV_STATUS_SUCCESS*, 0x0000.
  public static let success = HypercallStatus(0x0000)
  /// *HV_STATUS_INVALID_HYPERCALL_CODE*, 0x0002: no such call here.
  public static let invalidHypercallCode = HypercallStatus(0x0002)
  /// *HV_STATUS_INVALID_HYPERCALL_INPUT*, 0x0003: the input value is malformed for this call.
  public static let invalidHypercallInput = HypercallStatus(0x0003)
  /// *HV_STATUS_INVALID_ALIGNMENT*, 0x0004: a GPA is misaligned, crosses a page or leads nowhere.
  public static let invalidAlignment = HypercallStatus(0x0004)
  /// *HV_STATUS_INVALID_PARAMETER*, 0x0005.
  public static let invalidParameter = HypercallStatus(0x0005)
  /// *HV_STATUS_ACCESS_DENIED*, 0x0006.
  public static let accessDenied = HypercallStatus(0x0006)
  /// *HV_STATUS_INVALID_PARTITION_STATE*, 0x0007.
  public static let invalidPartitionState = HypercallStatus(0x0007)
  /// *HV_STATUS_OPERATION_DENIED*, 0x0008.
  public static let operationDenied = HypercallStatus(0x0008)
  /// *HV_STATUS_UNKNOWN_PROPERTY*, 0x0009.
  public static let unknownProperty = HypercallStatus(0x0009)
  /// *HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE*, 0x000A.
  public static let propertyValueOutOfRange = HypercallStatus(0x000A)
  /// *HV_STATUS_INSUFFICIENT_MEMORY*, 0x000B.
  public static let insufficientMemory = HypercallStatus(0x000B)
  /// *HV_STATUS_INVALID_PARTITION_ID*, 0x000D.
  public static let invalidPartitionID = HypercallStatus(0x000D)
  /// *HV_STATUS_INVALID_VP_INDEX*, 0x000E.
  public static let invalidVPIndex = HypercallStatus(0x000E)
  /// *HV_STATUS_INVALID_PORT_ID*, 0x0011.
  public static let invalidPortID = HypercallStatus(0x0011)
  /// *HV_STATUS_INVALID_CONNECTION_ID*, 0x0012.
  public static let invalidConnectionID = HypercallStatus(0x0012)
  /// *HV_STATUS_INSUFFICIENT_BUFFERS*, 0x0013. The PDF 6.0b prints 0x33, the number of
  /// ``insufficientBuffer``, by mistake.
  public static let insufficientBuffers = HypercallStatus(0x0013)
  /// *HV_STATUS_NOT_ACKNOWLEDGED*, 0x0014.
  public static let notAcknowledged = HypercallStatus(0x0014)
  /// *HV_STATUS_INVALID_VP_STATE*, 0x0015.
  public static let invalidVPState = HypercallStatus(0x0015)
  /// *HV_STATUS_INVALID_SYNIC_STATE*, 0x0018.
  public static let invalidSynICState = HypercallStatus(0x0018)
  /// *HV_STATUS_NO_DATA*, 0x001B.
  public static let noData = HypercallStatus(0x001B)
  /// *HV_STATUS_NO_RESOURCES*, 0x001D.
  public static let noResources = HypercallStatus(0x001D)
  /// *HV_STATUS_FEATURE_UNAVAILABLE*, 0x001E.
  public static let featureUnavailable = HypercallStatus(0x001E)
  /// *HV_STATUS_INSUFFICIENT_BUFFER*, 0x0033.
  public static let insufficientBuffer = HypercallStatus(0x0033)
  /// *HV_STATUS_INVALID_REGISTER_VALUE*, 0x0050.
  public static let invalidRegisterValue = HypercallStatus(0x0050)
  /// *HV_STATUS_OPERATION_FAILED*, 0x0071.
  public static let operationFailed = HypercallStatus(0x0071)
  /// *HV_STATUS_TIME_OUT*, 0x0078.
  public static let timeOut = HypercallStatus(0x0078)
}

extension HypercallStatus: CustomStringConvertible {
  /// The TLFS name with the number, like `HV_STATUS_SUCCESS (0x0)`, or the number alone.
  public var description: String {
    guard let name = Self.names[self] else { return rawValue.hexadecimal }
    return "HV_STATUS_\(name) (\(rawValue.hexadecimal))"
  }

  private static let names: [HypercallStatus: String] = [
    .success: "SUCCESS",
    .invalidHypercallCode: "INVALID_HYPERCALL_CODE",
    .invalidHypercallInput: "INVALID_HYPERCALL_INPUT",
    .invalidAlignment: "INVALID_ALIGNMENT",
    .invalidParameter: "INVALID_PARAMETER",
    .accessDenied: "ACCESS_DENIED",
    .invalidPartitionState: "INVALID_PARTITION_STATE",
    .operationDenied: "OPERATION_DENIED",
    .unknownProperty: "UNKNOWN_PROPERTY",
    .propertyValueOutOfRange: "PROPERTY_VALUE_OUT_OF_RANGE",
    .insufficientMemory: "INSUFFICIENT_MEMORY",
    .invalidPartitionID: "INVALID_PARTITION_ID",
    .invalidVPIndex: "INVALID_VP_INDEX",
    .invalidPortID: "INVALID_PORT_ID",
    .invalidConnectionID: "INVALID_CONNECTION_ID",
    .insufficientBuffers: "INSUFFICIENT_BUFFERS",
    .notAcknowledged: "NOT_ACKNOWLEDGED",
    .invalidVPState: "INVALID_VP_STATE",
    .invalidSynICState: "INVALID_SYNIC_STATE",
    .noData: "NO_DATA",
    .noResources: "NO_RESOURCES",
    .featureUnavailable: "FEATURE_UNAVAILABLE",
    .insufficientBuffer: "INSUFFICIENT_BUFFER",
    .invalidRegisterValue: "INVALID_REGISTER_VALUE",
    .operationFailed: "OPERATION_FAILED",
    .timeOut: "TIME_OUT",
  ]
}
