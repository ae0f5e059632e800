/// What `vmm-run check` was asked to do.
struct CheckOptions: Equatable, Sendable {
  var printsJSON = false

  init(printsJSON: Bool = false) {
    self.printsJSON = printsJSON
  }

  init(_ parsed: ParsedOptions) {
    printsJSON = parsed.contains(.json)
  }
}
