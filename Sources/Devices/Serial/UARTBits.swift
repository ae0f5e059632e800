/// The registers of a 16550A by offset, with the divisor latch access bit clear.
enum UARTRegister {
  /// *RBR* (read), *THR* (write); *DLL* with the divisor latch open.
  static let data: UInt64 = 0
  /// *IER*; *DLM* with the divisor latch open.
  static let interruptEnable: UInt64 = 1
  /// *IIR* (read), *FCR* (write).
  static let interruptIdentification: UInt64 = 2
  /// *LCR*
  static let lineControl: UInt64 = 3
  /// *MCR*
  static let modemControl: UInt64 = 4
  /// *LSR*
  static let lineStatus: UInt64 = 5
  /// *MSR*
  static let modemStatus: UInt64 = 6
  /// *SCR*
  static let scratch: UInt64 = 7
  static let count: UInt64 = 8
}

/// *IER*: which causes interrupt. The upper four bits read as 0.
struct UARTInterruptEnable: OptionSet, Sendable {
  let rawValue: UInt8
  static let receivedData = Self(rawValue: 0x01)
  static let transmitterEmpty = Self(rawValue: 0x02)
  static let lineStatus = Self(rawValue: 0x04)
  static let modemStatus = Self(rawValue: 0x08)
  static let all = Self(rawValue: 0x0F)
}

/// *MCR*: the modem lines that the UART drives.
struct UARTModemControl: OptionSet, Sendable {
  let rawValue: UInt8
  static let dataTerminalReady = Self(rawValue: 0x01)
  static let requestToSend = Self(rawValue: 0x02)
  static let out1 = Self(rawValue: 0x04)
  /// On a PC the gate between the UART and its interrupt line.
  static let out2 = Self(rawValue: 0x08)
  static let loopback = Self(rawValue: 0x10)
  static let all = Self(rawValue: 0x1F)
}

/// *LSR*: the state of both directions.
struct UARTLineStatus: OptionSet, Sendable {
  let rawValue: UInt8
  static let dataReady = Self(rawValue: 0x01)
  static let overrun = Self(rawValue: 0x02)
  static let parityError = Self(rawValue: 0x04)
  static let framingError = Self(rawValue: 0x08)
  static let breakInterrupt = Self(rawValue: 0x10)
  static let transmitterEmpty = Self(rawValue: 0x20)
  static let transmitterIdle = Self(rawValue: 0x40)
  static let errors: Self = [.overrun, .parityError, .framingError, .breakInterrupt]
}

/// *IIR* without the FIFO bits: the cause of highest priority.
struct UARTInterruptCause: RawRepresentable, Equatable, Sendable {
  let rawValue: UInt8
  static let none = Self(rawValue: 0x01)
  static let modemStatus = Self(rawValue: 0x00)
  static let transmitterEmpty = Self(rawValue: 0x02)
  static let receivedData = Self(rawValue: 0x04)
  static let lineStatus = Self(rawValue: 0x06)
  static let characterTimeout = Self(rawValue: 0x0C)
}
