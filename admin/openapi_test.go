package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"lightspeed/api"
)

var update = flag.Bool("update", false, "write api/openapi.json anew")

// api/openapi.json says of every route what operations says, of every type what its comments say, and nothing else.
func TestOpenAPIRoutes(t *testing.T) {
	const file = "../api/openapi.json"
	made := makeOpenAPI(t)
	if *update {
		if err := os.WriteFile(file, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(strings.Split(string(made), "\n"), strings.Split(string(api.OpenAPI), "\n")); diff != "" && !*update {
		t.Errorf("make it anew by `go test ./admin -run OpenAPIRoutes -update` (-routes and types +%s):\n%s", file, diff)
	}
	known := map[string]bool{badgeRoute: true}
	for _, r := range (&Server{}).table() {
		known[r.method+" "+r.path] = true
	}
	for name := range operations {
		if !known[name] {
			t.Errorf("operations has %s, and admin has not", name)
		}
	}
}

// The document is one by the schema of OpenAPI 3.1 itself: https://spec.openapis.org/oas/3.1/schema/2022-10-07.
func TestOpenAPIByItsSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi-3.1.json", decoded(t, text)); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(decoded(t, api.OpenAPI)); err != nil {
		t.Errorf("%v", err)
	}
}

func decoded(t testing.TB, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
	return value
}

// described is the document, ready to check calls by. Objects hold then only what it names.
var described = sync.OnceValues(func() (*document, error) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.OpenAPI))
	if err != nil {
		return nil, err
	}
	for _, schema := range value.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any) {
		if o := schema.(map[string]any); o["properties"] != nil {
			o["additionalProperties"] = false
		}
	}
	withoutRefs(value.(map[string]any))
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	d := &document{compiler: compiler, paths: value.(map[string]any)["paths"].(map[string]any), schemas: map[string]*jsonschema.Schema{}}
	return d, compiler.AddResource("openapi.json", value)
})

// withoutRefs puts responses that stand among the components where they are meant.
func withoutRefs(value map[string]any) {
	all := value["components"].(map[string]any)["responses"].(map[string]any)
	for _, path := range value["paths"].(map[string]any) {
		for _, operation := range path.(map[string]any) {
			responses := operation.(map[string]any)["responses"].(map[string]any)
			for status, one := range responses {
				if ref, ok := one.(map[string]any)["$ref"].(string); ok {
					responses[status] = all[strings.TrimPrefix(ref, "#/components/responses/")]
				}
			}
		}
	}
}

type document struct {
	paths    map[string]any
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

// at is the part of the document below some keys; nil when there is none.
func (d *document) at(keys ...string) map[string]any {
	o := d.paths
	for _, key := range keys {
		o, _ = o[key].(map[string]any)
	}
	return o
}

// schema compiles the one that stands below some keys.
func (d *document) schema(keys ...string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	pointer := "openapi.json#/paths"
	for _, key := range keys {
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", " ", "%20", ";", "%3B").Replace(key)
	}
	if known := d.schemas[pointer]; known != nil {
		return known, nil
	}
	schema, err := d.compiler.Compile(pointer)
	d.schemas[pointer] = schema
	return schema, err
}

// exchange is a call and its answer.
type exchange struct {
	method, pattern string
	query           map[string][]string
	header          http.Header
	taken           []byte // the body, as far as it was read
	status          int
	answered        http.Header
	body            []byte
}

// check compares an exchange with the document, and returns what of it that describes: its method and path, the status, and an error's code.
func (d *document) check(e exchange) (seen string, err error) {
	path := strings.ReplaceAll(e.pattern, "...}", "}")
	method := strings.ToLower(e.method)
	if method == "head" {
		return "", nil
	}
	if d.at(path, method) == nil {
		return "", fmt.Errorf("%s %s is not described", e.method, e.pattern)
	}
	seen = fmt.Sprintf("%s %s %d", e.method, path, e.status)
	if e.status < 300 {
		if err := d.checkCall(path, method, e); err != nil {
			return seen, err
		}
	}
	status := strconv.Itoa(e.status)
	if d.at(path, method, "responses", status) == nil {
		if e.status != 426 && e.status != 500 && e.status != 503 {
			return seen, fmt.Errorf("%s is not described", seen)
		}
		status = "default"
	}
	content := d.at(path, method, "responses", status, "content")
	if content == nil {
		if len(e.body) > 0 {
			return seen, fmt.Errorf("%s has a body", seen)
		}
		return seen, nil
	}
	kind := e.answered.Get("Content-Type")
	media := kindOfMedia(content, kind)
	if media == "" {
		return seen, fmt.Errorf("%s: content type %q is not described", seen, kind)
	}
	if e.status >= 400 && media == "application/json" {
		var refused errorBody
		if json.Unmarshal(e.body, &refused) == nil && refused.Error != nil {
			seen += " " + string(refused.Error.Code)
		}
	}
	return seen, d.checkBody(e.body, path, method, "responses", status, "content", media)
}

// kindOfMedia is the key of a content type in a content.
func kindOfMedia(content map[string]any, kind string) string {
	plain, _, _ := mime.ParseMediaType(kind)
	for _, one := range []string{kind, plain} {
		if content[one] != nil {
			return one
		}
	}
	return ""
}

// checkBody compares a body with the schema of its media type: JSON, or the data of each of a stream's events.
func (d *document) checkBody(body []byte, keys ...string) error {
	media := d.at(keys...)
	if events, ok := media["x-events"].(map[string]any); ok {
		return d.checkEvents(string(body), events, keys)
	}
	if keys[len(keys)-1] != "application/json" || media["schema"] == nil {
		return nil
	}
	schema, err := d.schema(append(slices.Clone(keys), "schema")...)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%.2000s", strings.Join(keys, " "), err, body)
	}
	return nil
}

func (d *document) checkEvents(text string, events map[string]any, keys []string) error {
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if own, ok := strings.CutPrefix(line, "event: "); ok {
			name = own
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		if events[name] == nil {
			return fmt.Errorf("event %q is not described", name)
		}
		schema, err := d.schema(append(slices.Clone(keys), "x-events", name)...)
		if err != nil {
			return err
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
		if err == nil {
			err = schema.Validate(value)
		}
		if err != nil {
			return fmt.Errorf("event %s: %w\n%s", name, err, data)
		}
	}
	return nil
}

// checkCall compares what admin took with what the document says that it takes.
func (d *document) checkCall(path, method string, e exchange) error {
	names := map[string]bool{}
	list, _ := d.at(path, method)["parameters"].([]any)
	for _, one := range list {
		p := one.(map[string]any)
		name := p["name"].(string)
		names[name] = true
		if p["required"] == true && p["in"] == "query" && len(e.query[name]) == 0 {
			return fmt.Errorf("%s %s was taken without %s", e.method, path, name)
		}
		if p["required"] == true && p["in"] == "header" && e.header.Get(name) == "" {
			return fmt.Errorf("%s %s was taken without header %s", e.method, path, name)
		}
	}
	for name := range e.query {
		if !names[name] {
			return fmt.Errorf("%s %s took the parameter %s, which is not described", e.method, path, name)
		}
	}
	content := d.at(path, method, "requestBody", "content")
	if content == nil && len(e.taken) > 0 && string(e.taken) != "{}" {
		return fmt.Errorf("%s %s took a body, and none is described: %s", e.method, path, e.taken)
	}
	if content["application/json"] == nil || len(e.taken) == 0 {
		return nil
	}
	return d.checkBody(e.taken, path, method, "requestBody", "content", "application/json")
}
