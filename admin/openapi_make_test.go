package admin

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lightspeed/api"
)

const aboutAPI = `What admin knows, and what can be asked of it: deliveries, listeners, runs, their output and their artifacts.

Every call carries a bearer token, unless admin serves its own machine alone and has none; the security of an operation names the roles that may use it.
Routes that answer GET answer HEAD, too. Absent values are null. Times are RFC 3339 in UTC. Lists come newest first, a page at a time: next is the value for before, null at the end.
Later versions add members and codes: pass over what you do not know.`

// statuses are the HTTP status of each code.
var statuses = map[api.Code]int{
	api.BadRequest: 400, api.Unauthorized: 401, api.Forbidden: 403, api.NotFound: 404, api.Conflict: 409, api.AttemptOver: 409, api.LogGap: 409,
	api.LogIncomplete: 409, api.NotRegistered: 409, api.Outdated: 409, api.Pruned: 410, api.TooLarge: 413, api.UnsupportedMT: 415,
	api.VersionsApart: 426, api.Unavailable: 503, api.Full: 507,
}

// makeOpenAPI writes the document about admin's routes, of which operations says what they are for.
func makeOpenAPI(t *testing.T) []byte {
	t.Helper()
	s := &schemas{T: t, comments: readComments(t), answers: map[reflect.Type]bool{}, components: map[string]object{}}
	for _, o := range operations {
		for _, body := range o.answers {
			if _, foreign := body.(media); body != nil && !foreign {
				parts(reflect.TypeOf(body), s.answers)
			}
		}
	}
	s.of(reflect.TypeFor[errorBody]())
	paths := map[string]object{}
	routes := append((&Server{}).table(), route{"GET", "/badge/{name}.svg", anyone, nil})
	for _, r := range routes {
		path := strings.ReplaceAll(r.path, "...}", "}")
		paths[path] = append(paths[path], member{strings.ToLower(r.method), s.operation(r)})
	}
	all := object{}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		all = append(all, member{path, paths[path]})
	}
	document, err := json.Marshal(object{
		{"openapi", "3.1.0"},
		{"info", object{{"title", "Lightspeed admin"}, {"version", api.Version}, {"description", aboutAPI}, {"license", object{{"name", "MIT"}, {"identifier", "MIT"}}}}},
		{"paths", all},
		{"components", object{
			{"schemas", s.sortedComponents()},
			{"responses", s.refusals()},
			{"securitySchemes", object{{"token", object{{"type", "http"}, {"scheme", "bearer"}, {"description", "A token that admin was started with, or one made by POST tokens."}}}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, document, "", " "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

func (s *schemas) operation(r route) object {
	name := r.method + " " + r.path
	o, known := operations[name]
	if !known {
		s.Errorf("operations says nothing of %s", name)
	}
	out := object{{"operationId", operationID(r)}, {"summary", o.summary}}.with("description", o.more)
	if list := s.parameters(r, o); len(list) > 0 {
		out = append(out, member{"parameters", list})
	}
	if o.takes != nil {
		s.given = true
		out = append(out, member{"requestBody", s.body(o.takes).with("description", saidOf(o.takes))})
		s.given = false
	}
	security := []object{}
	if r.may != anyone {
		for role := range strings.SplitSeq(r.may.roles(), ", ") {
			security = append(security, object{{"token", []string{role}}})
		}
	}
	return append(out, member{"responses", s.responses(r, o)}, member{"security", security})
}

// operationID is the name of the function that answers.
func operationID(r route) string {
	if r.handle == nil {
		return "getBadge"
	}
	name := runtime.FuncForPC(reflect.ValueOf(r.handle).Pointer()).Name()
	return strings.TrimSuffix(name[strings.LastIndex(name, ".")+1:], "-fm")
}

var inPath = regexp.MustCompile(`\{(\w+)(?:\.\.\.)?\}`)

func (s *schemas) parameters(r route, o operation) []object {
	var list []object
	for _, m := range inPath.FindAllStringSubmatch(r.path, -1) {
		list = append(list, s.parameter(m[1]+"!"))
	}
	for _, name := range append(slices.Clone(o.query), o.header...) {
		list = append(list, s.parameter(name))
	}
	return list
}

func (s *schemas) parameter(name string) object {
	name, needed := strings.CutSuffix(name, "!")
	p, known := parameters[name]
	if !known {
		s.Errorf("there is no parameter %s", name)
	}
	o := object{{"name", name}, {"in", p.in}}
	if needed {
		o = append(o, member{"required", true})
	}
	return append(o.with("description", p.said), member{"schema", p.schema})
}

// body is the content of a request or an answer.
func (s *schemas) body(of any) object {
	foreign, ok := of.(media)
	if !ok {
		return object{{"content", object{{"application/json", object{{"schema", s.of(reflect.TypeOf(of))}}}}}}
	}
	content := object{}
	for _, one := range foreign.types {
		o := object{}
		if strings.HasPrefix(one, "text/") {
			o = object{{"schema", object{{"type", "string"}}}}
		}
		if len(foreign.lines) > 0 {
			events := object{}
			for _, name := range slices.Sorted(maps.Keys(foreign.lines)) {
				events = append(events, member{name, s.event(foreign.lines[name])})
			}
			o = append(o, member{"x-events", events})
		}
		content = append(content, member{one, o})
	}
	return object{{"content", content}}
}

// event is the schema of the data of a server-sent event.
func (s *schemas) event(of any) any {
	if of == (struct{}{}) {
		return object{{"type", "object"}}
	}
	return s.of(reflect.TypeOf(of))
}

func saidOf(of any) string {
	if foreign, ok := of.(media); ok {
		return foreign.what
	}
	return ""
}

func (s *schemas) responses(r route, o operation) object {
	out := object{}
	for _, status := range slices.Sorted(maps.Keys(o.answers)) {
		said := saidOf(o.answers[status])
		if said == "" {
			said = http.StatusText(status)
		}
		one := object{{"description", said}}
		if o.answers[status] != nil {
			one = append(one, s.body(o.answers[status])...)
		}
		out = append(out, member{strconv.Itoa(status), one})
	}
	refused := map[int][]api.Code{}
	for _, code := range refusedBy(r, o) {
		refused[statuses[code]] = append(refused[statuses[code]], code)
	}
	for status, codes := range refused {
		if len(codes) == 1 {
			out = append(out, member{strconv.Itoa(status), object{{"$ref", "#/components/responses/" + string(codes[0])}}})
			continue
		}
		out = append(out, member{strconv.Itoa(status), s.refusal(codes)})
	}
	slices.SortFunc(out, func(a, b member) int { return strings.Compare(a.key, b.key) })
	if r.handle != nil {
		out = append(out, member{"default", object{{"$ref", "#/components/responses/" + string(api.Unavailable)}}})
	}
	return out
}

// refusedBy are the codes of a route's errors. Admin without tokens refuses whoever comes from elsewhere.
func refusedBy(r route, o operation) []api.Code {
	codes := slices.Clone(o.refuses)
	if r.may != anyone {
		codes = append(codes, api.Unauthorized)
	}
	if r.handle != nil {
		codes = append(codes, api.Forbidden)
	}
	if strings.HasPrefix(r.path, api.Prefix) {
		codes = append(codes, api.BadRequest)
	}
	return codes
}

// refusals are the answers with one code, by that.
func (s *schemas) refusals() object {
	all := object{}
	for _, c := range s.comments.constants["api.Code"] {
		if statuses[api.Code(c.value)] == 0 {
			s.Errorf("statuses has no code %s", c.value)
		}
		all = append(all, member{c.value, s.refusal([]api.Code{api.Code(c.value)})})
	}
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.key, b.key) })
	return all
}

// refusal is the answer with one of some codes.
func (s *schemas) refusal(codes []api.Code) object {
	if codes[0] == api.Unavailable {
		codes = append(codes, api.VersionsApart) // both stand for all that is not a route's own
	}
	var said []string
	for _, c := range s.comments.constants["api.Code"] {
		if slices.Contains(codes, api.Code(c.value)) {
			said = append(said, "`"+c.value+"`: "+c.said)
		}
	}
	schema := object{
		{"$ref", "#/components/schemas/Refusal"},
		{"properties", object{{"error", object{{"properties", object{{"code", object{{"enum", codes}}}}}}}}},
	}
	return object{{"description", strings.Join(said, "; ")}, {"content", object{{"application/json", object{{"schema", schema}}}}}}
}
