package admin

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encoder.Encode(m.key); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := encoder.Encode(m.value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// with returns the object with one member more, unless that says nothing.
func (o object) with(key, text string) object {
	if text == "" {
		return o
	}
	return append(o, member{key, text})
}

// oneOf are the values of texts that have no Go type of their own.
var oneOf = map[string][]string{
	"Receipt.status":     {api.Accepted, api.Spooled, api.Duplicate, api.Ignored, api.Pong},
	"Delivery.status":    {api.Accepted, api.Ignored},
	"Explanation.status": {api.Accepted, api.Ignored},
	"Settings.when_busy": {api.Queue, api.Supersede, api.Latest},
	"Settings.on_lost":   {api.Fail, api.Requeue},
	"Instance.via":       {viaClaim, viaBroker},
	"Token.role":         api.Roles,
	"MadeToken.role":     api.Roles,
	"NewToken.role":      api.Roles,
}

// needed are the members that a body must have; all others of a body may be left out.
var needed = map[string]string{
	"Registration": "instance start revision", "ClaimRequest": "instance start key", "Finish": "status", "Steps": "steps", "StepGiven": "step status",
	"Ref": "run attempt", "Notified": "target status at", "TellingRequest": "instance", "Trigger": "repo sha", "Polled": "repo sha", "NewToken": "role",
}

// givenSuffix ends the names of types in bodies that stand in answers, too.
const givenSuffix = "Given"

// renamed are the types whose own name says too little, or is another's.
var renamed = map[string]string{"errorBody": "Refusal", "readiness": "Readiness"}

// schemas makes JSON Schemas of Go types, and gathers those that have a name. What a type says of itself is taken from
// its comments.
type schemas struct {
	*testing.T
	comments   comments
	answers    map[reflect.Type]bool // types that stand in an answer
	given      bool                  // the type stands in a body, of which parts may be left out
	components map[string]object
}

// of returns the schema of a type.
func (s *schemas) of(t reflect.Type) any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{{"type", "string"}, {"format", "date-time"}}
	case t == reflect.TypeFor[[]byte]():
		return object{{"type", "string"}, {"contentEncoding", "base64"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return orNull(s.of(t.Elem()))
	case reflect.Slice:
		list := object{{"type", "array"}, {"items", s.of(t.Elem())}}
		if s.given {
			list[0].value = []string{"array", "null"}
		}
		return list
	case reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", s.of(t.Elem())}}
	case reflect.Struct:
		return s.named(t, s.structure)
	case reflect.String:
		if t.PkgPath() != "" {
			return s.named(t, s.words)
		}
		return object{{"type", "string"}}
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Int64:
		return object{{"type", "integer"}, {"format", "int64"}}
	case reflect.Int:
		return object{{"type", "integer"}}
	}
	s.Fatalf("no schema for %s", t)
	return nil
}

// orNull lets a value be null, too.
func orNull(schema any) any {
	o := schema.(object)
	if o[0].key == "type" {
		return append(object{{"type", []any{o[0].value, "null"}}}, o[1:]...)
	}
	return object{{"anyOf", []any{schema, object{{"type", "null"}}}}}
}

// named refers to the schema of a type, which is made at its first use.
func (s *schemas) named(t reflect.Type, build func(reflect.Type, string) object) any {
	name := s.name(t)
	if _, known := s.components[name]; !known {
		s.components[name] = nil // a type may hold itself
		s.components[name] = build(t, name)
	}
	return object{{"$ref", "#/components/schemas/" + name}}
}

// name is a type's in the document. One that stands in answers and in bodies has two: of a body parts may be left out.
func (s *schemas) name(t reflect.Type) string {
	name := t.Name()
	if generic, of, ok := strings.Cut(name, "["); ok {
		name = of[strings.LastIndexAny(of, "./")+1:len(of)-1] + generic
	}
	if other, ok := renamed[name]; ok {
		name = other
	}
	if s.given && s.answers[t] && t.Kind() == reflect.Struct {
		name += givenSuffix
	}
	return name
}

func (s *schemas) structure(t reflect.Type, name string) object {
	properties, required := s.members(t, name)
	if s.given {
		required = strings.Fields(needed[name])
	}
	o := object{{"type", "object"}}.with("description", s.comments.of(t, ""))
	if len(required) > 0 {
		o = append(o, member{"required", required})
	}
	return append(o, member{"properties", properties})
}

// members are a struct's, with those of what is embedded in it.
func (s *schemas) members(t reflect.Type, name string) (properties object, required []string) {
	for i := range t.NumField() {
		field := t.Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && key == "":
			more, needed := s.members(field.Type, name)
			properties, required = append(properties, more...), append(required, needed...)
			continue
		case key == "-":
			continue
		case key == "":
			s.Fatalf("%s.%s has no name in JSON", t, field.Name)
		}
		schema := s.of(field.Type).(object)
		if schema[0].key == "$ref" && field.Type.Kind() == reflect.String && s.given && !slices.Contains(strings.Fields(needed[name]), key) {
			schema = object{{"anyOf", []any{schema, object{{"const", ""}}}}} // as if it were left out
		}
		if words := oneOf[strings.TrimSuffix(name, givenSuffix)+"."+key]; words != nil {
			if s.given {
				words = append(slices.Clone(words), "") // as if it were left out
			}
			schema = append(schema, member{"enum", words})
		}
		properties = append(properties, member{key, schema.with("description", s.comments.of(t, field.Name))})
		if options != "omitempty" {
			required = append(required, key)
		}
	}
	return properties, required
}

// words are the values of a type of texts, each with what its constant says of itself.
func (s *schemas) words(t reflect.Type, _ string) object {
	var values, said []string
	for _, c := range s.comments.constants[typeName(t)] {
		values, said = append(values, c.value), append(said, "- `"+c.value+"`: "+c.said)
		if c.said == "" {
			said[len(said)-1] = "- `" + c.value + "`"
		}
	}
	if len(values) == 0 {
		s.Fatalf("%s has no constants", t)
	}
	return object{{"type", "string"}, {"enum", values}, {"description", s.comments.of(t, "") + "\n\n" + strings.Join(said, "\n")}}
}

// comments are what the source says of its types.
type comments struct {
	texts     map[string]string // by "package.Type" and "package.Type.Field"
	constants map[string][]constant
}

type constant struct{ value, said string }

func typeName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return filepath.Base(t.PkgPath()) + "." + name
}

func (c comments) of(t reflect.Type, field string) string {
	key := typeName(t)
	if field != "" {
		key += "." + field
	}
	return c.texts[key]
}

// readComments reads the packages whose types the API shows.
func readComments(t *testing.T) comments {
	t.Helper()
	c := comments{map[string]string{}, map[string][]constant{}}
	for _, dir := range []string{".", "../api", "../run", "../match"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if group, ok := n.(*ast.GenDecl); ok {
					c.read(parsed.Name.Name, group)
				}
				return true
			})
		}
	}
	return c
}

func (c comments) read(in string, group *ast.GenDecl) {
	for _, spec := range group.Specs {
		switch one := spec.(type) {
		case *ast.TypeSpec:
			name := in + "." + one.Name.Name
			c.texts[name] = said(one.Doc, group.Doc)
			if fields, ok := one.Type.(*ast.StructType); ok {
				for _, field := range fields.Fields.List {
					for _, own := range field.Names {
						c.texts[name+"."+own.Name] = said(field.Doc, field.Comment)
					}
				}
			}
		case *ast.ValueSpec:
			kind, ok := one.Type.(*ast.Ident)
			if !ok || len(one.Values) != 1 {
				continue
			}
			if value, ok := one.Values[0].(*ast.BasicLit); ok && value.Kind == token.STRING {
				name := in + "." + kind.Name
				c.constants[name] = append(c.constants[name], constant{strings.Trim(value.Value, `"`), said(one.Doc, one.Comment)})
			}
		}
	}
}

// said is the first comment that says something, as one paragraph.
func said(groups ...*ast.CommentGroup) string {
	for _, group := range groups {
		if text := strings.Join(strings.Fields(group.Text()), " "); text != "" {
			return text
		}
	}
	return ""
}

// parts are all types that a type holds.
func parts(t reflect.Type, into map[reflect.Type]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		parts(t.Elem(), into)
	case reflect.Struct:
		if into[t] || t == reflect.TypeFor[time.Time]() {
			return
		}
		into[t] = true
		for i := range t.NumField() {
			parts(t.Field(i).Type, into)
		}
	}
}

// sortedComponents are the named schemas, by name.
func (s *schemas) sortedComponents() object {
	var all object
	for name, schema := range s.components {
		all = append(all, member{name, schema})
	}
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.key, b.key) })
	return all
}
