import HyperVCore
import Testing

@Suite("Hypercall status and result, TLFS Hypercall Outputs and 6.0b appendix B")
struct HypercallResultTests {
  static let statuses: [(HypercallStatus, UInt16, String)] = [
    (.success, 0x00, "SUCCESS"),
    (.invalidHypercallCode, 0x02, "INVALID_HYPERCALL_CODE"),
    (.invalidHypercallInput, 0x03, "INVALID_HYPERCALL_INPUT"),
    (.invalidAlignment, 0x04, "INVALID_ALIGNMENT"),
    (.invalidParameter, 0x05, "INVALID_PARAMETER"),
    (.accessDenied, 0x06, "ACCESS_DENIED"),
    (.invalidPartitionState, 0x07, "INVALID_PARTITION_STATE"),
    (.operationDenied, 0x08, "OPERATION_DENIED"),
    (.unknownProperty, 0x09, "UNKNOWN_PROPERTY"),
    (.propertyValueOutOfRange, 0x0A, "PROPERTY_VALUE_OUT_OF_RANGE"),
    (.insufficientMemory, 0x0B, "INSUFFICIENT_MEMORY"),
    (.invalidPartitionID, 0x0D, "INVALID_PARTITION_ID"),
    (.invalidVPIndex, 0x0E, "INVALID_VP_INDEX"),
    (.invalidPortID, 0x11, "INVALID_PORT_ID"),
    (.invalidConnectionID, 0x12, "INVALID_CONNECTION_ID"),
    (.insufficientBuffers, 0x13, "INSUFFICIENT_BUFFERS"),
    (.notAcknowledged, 0x14, "NOT_ACKNOWLEDGED"),
    (.invalidVPState, 0x15, "INVALID_VP_STATE"),
    (.invalidSynICState, 0x18, "INVALID_SYNIC_STATE"),
    (.noData, 0x1B, "NO_DATA"),
    (.noResources, 0x1D, "NO_RESOURCES"),
    (.featureUnavailable, 0x1E, "FEATURE_UNAVAILABLE"),
    (.insufficientBuffer, 0x33, "INSUFFICIENT_BUFFER"),
    (.invalidRegisterValue, 0x50, "INVALID_REGISTER_VALUE"),
    (.operationFailed, 0x71, "OPERATION_FAILED"),
    (.timeOut, 0x78, "TIME_OUT"),
  ]

  @Test("status numbers and names", arguments: statuses)
  func status(status: HypercallStatus, number: UInt16, name: String) {
    #expect(status.rawValue == number)
    #expect(status.description == "HV_STATUS_\(name) (0x\(String(number, radix: 16)))")
    #expect(HypercallResult(status: status).rawValue == UInt64(number))
  }

  @Test("an unknown status prints its number")
  func unknownStatus() {
    #expect(HypercallStatus(rawValue: 0xFC18).description == "0xfc18")
  }

  @Test(
    "encoding: status in 15:0, reps completed in 43:32",
    arguments: [
      (0x0000, 0, 0x0), (0x0002, 0, 0x2), (0x0078, 0, 0x78), (0xFFFF, 0, 0xFFFF),
      (0x0000, 1, 0x1_0000_0000), (0x0005, 20, 0x14_0000_0005),
      (0xFFFF, 4095, 0x0FFF_0000_FFFF), (0, 4096, 0), (0, -1, 0x0FFF_0000_0000),
    ] as [(UInt16, Int, UInt64)])
  func encoding(status: UInt16, reps: Int, hex: UInt64) {
    let result = HypercallResult(
      status: HypercallStatus(rawValue: status), repsCompleted: reps)
    #expect(result.rawValue == hex)
    #expect(result.status.rawValue == status)
    #expect(result.repsCompleted == reps & 0xFFF)
  }

  @Test("each bit alone", arguments: 0..<64)
  func eachBit(bit: Int) {
    let result = HypercallResult(rawValue: 1 << UInt64(bit))
    #expect(result.status.rawValue == (bit < 16 ? 1 << UInt16(bit) : 0))
    #expect(result.repsCompleted == ((32...43).contains(bit) ? 1 << (bit - 32) : 0))
  }

  @Test("description tells reps only if there are any")
  func description() {
    #expect("\(HypercallResult(status: .success))" == "HV_STATUS_SUCCESS (0x0)")
    #expect(
      "\(HypercallResult(status: .invalidParameter, repsCompleted: 3))"
        == "HV_STATUS_INVALID_PARAMETER (0x5), 3 reps completed")
  }
}
