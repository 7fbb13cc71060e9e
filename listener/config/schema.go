package config

import _ "embed"

// Schema is the JSON Schema (2020-12) of a config file, for editors and generators. It knows every key, and the shape of each
// value; what only a reader of the whole can see, as a pattern that never matches, stays Load's.
//
//go:embed schema.json
var Schema []byte
