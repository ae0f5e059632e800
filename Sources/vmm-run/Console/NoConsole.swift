/// A console without a user: output is lost, input never comes.
struct NoConsole: ConsoleBackend {
  func write(_ bytes: [UInt8]) {}
  func start(input: @escaping @Sendable ([UInt8]) -> Int) {}
  func stop() {}
}
