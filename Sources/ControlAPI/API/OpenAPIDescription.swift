package import MachineSpecification

/// The description of the interface for programs (OpenAPI 3.1), made of the route table.
package enum OpenAPIDescription {
  /// Errors that any request may get.
  private static let commonFailures: [HTTPStatus] = [.badRequest, .methodNotAllowed]

  /// - Parameter version: of the program.
  package static func value(version: String) -> JSONValue {
    .members([
      ("openapi", .text("3.1.0")),
      (
        "info",
        .members([
          ("title", .text("vmm-run control socket")),
          (
            "description",
            .text(
              "HTTP/1.1 over the UNIX socket of --control. Errors have a JSON body with"
                + " fault_message.")
          ),
          ("version", .text(version)),
        ])
      ),
      ("servers", .array([.members([("url", .text("http://localhost"))])])),
      ("paths", .members(ControlRoute.allCases.map { ($0.path, path($0)) })),
      (
        "components",
        .members([
          ("schemas", .members(ControlSchema.allCases.map { ($0.rawValue, $0.value) }))
        ])
      ),
    ])
  }

  private static func path(_ route: ControlRoute) -> JSONValue {
    var operation: [(String, JSONValue)] = [
      ("operationId", .text(route.rawValue)), ("summary", .text(route.summary)),
    ]
    if let schema = route.requestSchema {
      operation.append(
        ("requestBody", .members([("content", content(ControlReply.json, schema))])))
    }
    var responses: [(String, JSONValue)] = []
    if let reply = route.reply {
      responses.append(
        (
          "200",
          .members([
            ("description", .text("Done.")), ("content", content(reply.contentType, reply.schema)),
          ])
        ))
    } else {
      responses.append(("204", .members([("description", .text("Done."))])))
    }
    let failures = commonFailures + route.failures
    for status in failures.sorted(by: { $0.rawValue < $1.rawValue }) {
      responses.append(
        (
          "\(status.rawValue)",
          .members([
            ("description", .text(status.reason)), ("content", content(ControlReply.json, .fault)),
          ])
        ))
    }
    operation.append(("responses", .members(responses)))
    return .members([(route.method.rawValue.lowercased(), .members(operation))])
  }

  private static func content(_ type: String, _ schema: ControlSchema?) -> JSONValue {
    let reference = schema.map { schema in
      [("schema", JSONValue.members([("$ref", .text("#/components/schemas/" + schema.rawValue))]))]
    }
    return .members([(type, .members(reference ?? []))])
  }
}
