/// What is known of guest memory when an encoded state is restored.
public enum RestoredMemory: Sendable {
  /// Every byte is as it was when the state was encoded.
  case exact
  /// Nothing is known, as after migration to a host that does not say how it filled memory.
  case unknown
}
