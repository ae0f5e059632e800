internal import HyperVCore

/// The parts of the Hyper-V interface that the guest is offered, as `--hyperv-features` names them.
enum HyperVFeatureChoice: Equatable, Sendable {
  /// What is good for the guest on this host.
  case `default`
  /// Exactly these, with all they need; empty for no Hyper-V interface at all.
  case chosen(Enlightenments)

  private static let words = ["none", "default"]

  /// `none`, `default`, or names of `Enlightenments.names` separated by commas, in any order.
  ///
  /// A name whose requirements are not in the list is an error, and nothing is added silently: the
  /// list is what the guest sees.
  init(parsing text: String) throws(UsageError) {
    let option = OptionDefinition.hyperVFeatures.name
    switch text {
    case "default": self = .default
    case "none": self = .chosen([])
    default:
      let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      let choices = Enlightenments.names + (names.count == 1 ? Self.words : [])
      var features: Enlightenments = []
      for name in names {
        guard let feature = Enlightenments.named(name) else {
          throw .unknownChoice(
            option: option, name, choices: choices,
            nearest: NearestName.nearest(to: name, among: choices))
        }
        features.formUnion(feature)
      }
      do throws(EnlightenmentError) {
        try features.validate()
      } catch {
        throw .invalidFeatures(option: option, error)
      }
      self = .chosen(features)
    }
  }
}
