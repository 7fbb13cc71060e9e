package api

import _ "embed"

// OpenAPI describes admin's HTTP API as an OpenAPI 3.1 document, in JSON. It is made of the routes and the types that admin
// serves by: go test ./admin -run OpenAPIRoutes -update.
//
//go:embed openapi.json
var OpenAPI []byte
