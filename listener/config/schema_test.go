package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tailscale/hujson"
)

// beyondSchema are the bad configs that are right by the schema: their mistakes are no matter of shape.
var beyondSchema = []string{
	"duplicate-key", "duplicate-variable", "half-surrogate", "name-twice-in-a-list", "name-twice-over-files", "not-utf8", "nul-in-string",
	"pattern-wrong",
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// bySchema is what the schema says of a file: an error also where it is no JSON with comments.
func bySchema(t *testing.T, schema *jsonschema.Schema, path string) error {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = append(bytes.TrimPrefix(text, []byte("\ufeff")), '\n') // for a comment that ends the file
	plain, err := hujson.Standardize(text)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// The schema takes what the parser takes, and refuses what it refuses, but for what is beyond any schema.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	schema := compiledSchema(t)
	for name, paths := range cases(t, filepath.Join(testdata, "good")) {
		for _, path := range paths {
			if err := bySchema(t, schema, path); err != nil {
				t.Errorf("good config %s is refused: %v", name, err)
			}
		}
	}
	for name, paths := range cases(t, filepath.Join(testdata, "bad")) {
		refused := slices.ContainsFunc(paths, func(path string) bool { return bySchema(t, schema, path) != nil })
		if refused == slices.Contains(beyondSchema, name) {
			t.Errorf("bad config %s: refused by the schema is %v", name, refused)
		}
	}
	for i, text := range blocks(page(t)) {
		path := write(t, text)
		if len(text) > 0 && text[0] == '{' && bySchema(t, schema, path) != nil {
			t.Errorf("example %d of docs/config.md is refused: %v", i+1, bySchema(t, schema, path))
		}
	}
}

// A key stands in the table of keys and in schema.json, or in neither, and so do the keys of a step.
func TestSchemaHasEveryKey(t *testing.T) {
	var schema struct {
		Defs map[string]struct{ Properties map[string]any } `json:"$defs"`
	}
	if err := json.Unmarshal(Schema, &schema); err != nil {
		t.Fatal(err)
	}
	steps := slices.Sorted(slices.Values(stepKeys))
	for part, want := range map[string][]string{"listener": sortedKeys(), "stepObject": steps} {
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(schema.Defs[part].Properties))); diff != "" {
			t.Errorf("keys of %s, each to be described in schema.json (-code +schema.json):\n%s", part, diff)
		}
	}
}
