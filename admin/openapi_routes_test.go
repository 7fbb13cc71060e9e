package admin

import (
	"net/http"

	"lightspeed/api"
	"lightspeed/logtime"
	"lightspeed/run"
)

// operation is what the document says of a route beside its method, path and roles.
type operation struct {
	summary string
	more    string   // what else there is to know
	query   []string // names of parameters; ! marks those that are needed
	header  []string
	takes   any         // the body: a value of its type, or a media
	answers map[int]any // by status: a value of the body's type, a media, or nil for no body
	refuses []api.Code  // beside what every route may answer
}

// media is a body that is not JSON of ours.
type media struct {
	types []string
	what  string
	lines map[string]any // of a stream: the type of each event's data
}

func plain(what string) media { return media{types: []string{"text/plain; charset=utf-8"}, what: what} }

func binary(what string) media { return media{types: []string{"application/octet-stream"}, what: what} }

func stream(what string, events map[string]any) media {
	return media{types: []string{"text/event-stream"}, what: what, lines: events}
}

// delivered are the media types of a delivery's body.
func delivered(what string) media {
	return media{types: []string{"application/json", "application/x-www-form-urlencoded"}, what: what}
}

// ranged are the answers of a route that answers with a file, whole or a part.
func ranged(m media) map[int]any {
	part := m
	part.what = "The part that the header Range asks for."
	return map[int]any{200: m, 206: part, 416: plain("The header Range asks for what is not there.")}
}

func ok(body any) map[int]any       { return map[int]any{200: body} }
func accepted(body any) map[int]any { return map[int]any{202: body} }

var done = map[int]any{204: nil}

// operations say what each route of admin is for.
var operations = map[string]operation{
	"POST /api/v1/deliveries": {
		summary: "Hand in a delivery", more: "The body is the forge's, as it came. It is parsed, matched with every listener's rules, and stored with its runs before the answer.",
		header: []string{"X-GitHub-Delivery!", "X-GitHub-Event!"}, takes: delivered("What the forge sent, byte for byte."),
		answers: map[int]any{200: api.Receipt{}, 202: api.Receipt{}}, refuses: []api.Code{api.TooLarge, api.UnsupportedMT},
	},
	"GET /api/v1/deliveries": {summary: "List deliveries, newest first", query: []string{"limit", "before"}, answers: ok(api.List[api.Delivery]{})},
	"GET /api/v1/deliveries/{id}": {
		summary: "Show a delivery, and the runs that it led to", answers: ok(api.Delivery{}), refuses: []api.Code{api.NotFound},
	},
	"GET /api/v1/deliveries/{id}/explain": {
		summary: "Say for every listener why it matched, or did not",
		answers: ok(api.Explanation{}), refuses: []api.Code{api.NotFound, api.Pruned},
	},
	"GET /api/v1/deliveries/{id}/payload": {
		summary: "Read a delivery's body as it came", header: []string{"Range"},
		answers: ranged(delivered("The body, byte for byte.")), refuses: []api.Code{api.NotFound, api.Pruned},
	},
	"POST /api/v1/deliveries/{id}/replay": {
		summary: "Run a delivery again, by the rules of now", query: []string{"dry_run"}, takes: api.Replay{},
		answers: accepted(api.Receipt{}), refuses: []api.Code{api.NotFound, api.Pruned, api.TooLarge},
	},

	"PUT /api/v1/listeners/{name}": {
		summary: "Register an instance of a listener, and say that it is there",
		takes:   api.Registration{}, answers: ok(api.Registered{}), refuses: []api.Code{api.TooLarge},
	},
	"GET /api/v1/listeners": {summary: "List listeners, by name", query: []string{"limit", "before"}, answers: ok(api.List[api.Listener]{})},
	"GET /api/v1/listeners/{name}": {
		summary: "Show a listener", answers: ok(api.Listener{}), refuses: []api.Code{api.NotFound},
	},
	"DELETE /api/v1/listeners/{name}": {
		summary: "Forget a listener", more: "Its waiting runs are cancelled. A listener's token may remove only a temporary one.",
		query: []string{"force"}, answers: done, refuses: []api.Code{api.NotFound, api.Conflict},
	},
	"POST /api/v1/listeners/{name}/trigger": {
		summary: "Start a run by hand", more: "Only the rule about the repository is asked.",
		takes: api.Trigger{}, answers: accepted(api.Receipt{}), refuses: []api.Code{api.NotFound, api.Conflict, api.TooLarge},
	},
	"POST /api/v1/listeners/{name}/tellings": {
		summary: "Take over to tell people of a run whose listener is gone", more: "204: there is none.", query: []string{"wait"}, takes: api.TellingRequest{},
		answers: map[int]any{200: api.Telling{}, 204: nil}, refuses: []api.Code{api.TooLarge},
	},
	"POST /api/v1/listeners/{name}/pause": {
		summary: "Hand out no runs of a listener", takes: api.Pause{}, answers: ok(api.Listener{}), refuses: []api.Code{api.NotFound, api.TooLarge},
	},
	"POST /api/v1/listeners/{name}/resume": {
		summary: "Hand out runs of a listener again", answers: ok(api.Listener{}), refuses: []api.Code{api.NotFound, api.TooLarge},
	},
	"POST /api/v1/listeners/{name}/polled": {
		summary: "Hand in a push that a listener has found by itself",
		takes:   api.Polled{}, answers: accepted(api.Receipt{}), refuses: []api.Code{api.NotFound, api.Conflict, api.TooLarge},
	},
	"POST /api/v1/queues/{name}/claim": {
		summary: "Take the next run of a queue", more: "204: there is none.", query: []string{"wait"}, takes: api.ClaimRequest{},
		answers: map[int]any{200: api.Claim{}, 204: nil}, refuses: []api.Code{api.NotRegistered, api.Outdated, api.TooLarge},
	},
	"POST /api/v1/queues/{name}/look": {
		summary: "Ask whether there is a run to claim", query: []string{"wait"}, takes: api.ClaimRequest{},
		answers: ok(api.Looked{}), refuses: []api.Code{api.NotRegistered, api.Outdated, api.TooLarge},
	},

	"GET /api/v1/events": {
		summary: "Stream all runs as they change", more: "`reset` says that more has changed than could be sent: what is known is to be asked for anew. Comments are sent while nothing happens.",
		answers: ok(stream("Server-sent events, without end.", map[string]any{"run": run.Run{}, "reset": struct{}{}})),
	},
	"GET /api/v1/runs": {
		summary: "List runs, newest first", query: []string{"listener", "repo", "branch", "delivery", "status", "limit", "before"},
		answers: ok(api.List[run.Run]{}),
	},
	"GET /api/v1/runs/{id}": {summary: "Show a run", answers: ok(run.Run{}), refuses: []api.Code{api.NotFound}},
	"GET /api/v1/runs/{id}/events": {
		summary: "Stream a run as it changes", more: "It begins with the run as it is, and ends when that has ended.",
		answers: ok(stream("Server-sent events.", map[string]any{"run": run.Run{}})), refuses: []api.Code{api.NotFound},
	},
	"POST /api/v1/runs/{id}/cancel": {
		summary: "Cancel a run", more: "One that waits ends at once; one that runs is asked to end: `cancel_requested_at`.", takes: api.Cancel{},
		answers: ok(run.Run{}), refuses: []api.Code{api.NotFound, api.Conflict, api.TooLarge},
	},
	"POST /api/v1/runs/{id}/retry": {
		summary: "Run the same once more", more: "It answers with the new run.", answers: accepted(run.Run{}),
		refuses: []api.Code{api.NotFound, api.Conflict, api.Pruned, api.TooLarge},
	},
	"POST /api/v1/runs/{id}/release": {
		summary: "Free the slot that a lost run keeps", answers: ok(run.Run{}), refuses: []api.Code{api.NotFound, api.Conflict, api.TooLarge},
	},
	"POST /api/v1/runs/{id}/renew": {
		summary: "Keep an attempt's lease", more: "With `wait` it answers early when somebody asks for the run to be cancelled.", query: []string{"attempt!", "wait"},
		answers: ok(api.Renewal{}), refuses: []api.Code{api.NotFound, api.AttemptOver},
	},
	"POST /api/v1/runs/{id}/log": {
		summary: "Add to an attempt's log", more: "At most 1 MiB a call. Bytes that admin has already are passed over.", query: []string{"attempt!", "offset!"},
		header: []string{logtime.Header}, takes: binary("The log's bytes from the offset on."),
		answers: ok(api.LogOffset{}), refuses: []api.Code{api.NotFound, api.AttemptOver, api.LogGap, api.TooLarge},
	},
	"GET /api/v1/runs/{id}/log": {
		summary: "Read a run's output as it was written", more: "Of the newest attempt, unless `attempt` names another. With `follow=1` the answer goes on until the attempt has ended.",
		query: []string{"attempt", "offset", "follow"}, header: []string{"Range"},
		answers: ranged(plain("The output from the offset on.")), refuses: []api.Code{api.NotFound, api.Pruned},
	},
	"GET /api/v1/runs/{id}/log/times": {
		summary: "Say when a run's output came, and of which step it is", more: "Of the newest attempt, unless `attempt` names another; in the order of the offsets, 500 items at a time.",
		query: []string{"attempt", "offset"}, answers: ok(api.LogTimes{}), refuses: []api.Code{api.NotFound, api.Pruned},
	},
	"POST /api/v1/runs/{id}/steps": {
		summary: "Tell how far the steps of a running attempt have come", query: []string{"attempt!"}, takes: api.Steps{},
		answers: done, refuses: []api.Code{api.NotFound, api.AttemptOver, api.TooLarge},
	},
	"GET /api/v1/runs/{id}/artifacts": {summary: "List the files that a run has kept", answers: ok(api.List[api.Artifact]{}), refuses: []api.Code{api.NotFound}},
	"GET /api/v1/runs/{id}/artifacts/{path...}": {
		summary: "Read a file that a run has kept", more: "Of the newest attempt that has it, unless `attempt` names another. The path may hold slashes. The ETag is the file's SHA-256.",
		query: []string{"attempt"}, header: []string{"Range", "If-None-Match"},
		answers: with(ranged(binary("The file.")), 304, nil), refuses: []api.Code{api.NotFound, api.Pruned},
	},
	"POST /api/v1/runs/{id}/artifacts/{path...}": {
		summary: "Hand in a piece of a file that an attempt keeps", more: "At most 1 MiB a call. The last piece is answered when the whole was checked and is safe from a power cut.",
		query: []string{"attempt!", "offset!", "bytes!", "sha256!"}, takes: binary("The file's bytes from the offset on."),
		answers: ok(api.LogOffset{}), refuses: []api.Code{api.NotFound, api.AttemptOver, api.LogGap, api.Conflict, api.TooLarge, api.Full},
	},
	"POST /api/v1/runs/{id}/finish": {
		summary: "End an attempt with its result", query: []string{"attempt!"}, takes: api.Finish{},
		answers: ok(api.Finished{}), refuses: []api.Code{api.NotFound, api.AttemptOver, api.LogIncomplete, api.TooLarge},
	},
	"POST /api/v1/runs/{id}/notices": {
		summary: "Tell how telling people of a run went", query: []string{"attempt!"}, takes: api.Notified{},
		answers: done, refuses: []api.Code{api.NotFound, api.TooLarge},
	},
	"POST /api/v1/runs/{id}/told": {
		summary: "Say that a run that was handed out to be told is kept", answers: done, refuses: []api.Code{api.NotFound, api.TooLarge},
	},

	"POST /api/v1/recover": {
		summary: "Ask GitHub for deliveries that never came in", query: []string{"dry_run"}, answers: ok(api.Gaps{}), refuses: []api.Code{api.Conflict},
	},
	"GET /api/v1/gaps": {
		summary: "Compare what GitHub sent with what admin has", answers: ok(api.Gaps{}), refuses: []api.Code{api.Conflict},
	},
	"POST /api/v1/prune": {summary: "Delete what is more than is to be kept", query: []string{"dry_run"}, answers: ok(api.Pruning{})},
	"GET /api/v1/tokens": {summary: "List the tokens that admin keeps", answers: ok(api.List[api.Token]{})},
	"POST /api/v1/tokens": {
		summary: "Make a token", more: "The only time that its text is shown.", takes: api.NewToken{},
		answers: map[int]any{201: api.MadeToken{}}, refuses: []api.Code{api.Conflict, api.TooLarge},
	},
	"DELETE /api/v1/tokens/{id}": {
		summary: "Revoke a token", answers: done, refuses: []api.Code{api.NotFound, api.Conflict},
	},
	"GET /api/v1/openapi.json": {
		summary: "Read this document", answers: ok(media{types: []string{"application/json"}, what: "An OpenAPI 3.1 document."}),
	},

	"GET /metrics": {summary: "Read admin's numbers, for Prometheus", answers: ok(media{types: []string{"text/plain; version=0.0.4; charset=utf-8"}, what: "Prometheus' text format."})},
	"GET /healthz": {summary: "Ask whether the process serves", answers: ok(plain("`ok`"))},
	"GET /readyz": {
		summary: "Ask whether admin can do its work", answers: map[int]any{200: readiness{}, http.StatusServiceUnavailable: readiness{}},
	},
	badgeRoute: {
		summary: "Draw a listener's newest result", more: "For other pages to show: it needs no token. A listener that admin does not know has \"no runs\".", query: []string{"branch"},
		answers: ok(media{types: []string{"image/svg+xml"}, what: "A picture."}),
	},
}

// badgeRoute is served by the page, beside the API; admin/web tests that it is there.
const badgeRoute = "GET /badge/{name}.svg"

// with adds an answer.
func with(answers map[int]any, status int, body any) map[int]any {
	answers[status] = body
	return answers
}

// parameter is one that routes share: what it means, and its schema.
type parameter struct {
	in, said string
	schema   object
}

var (
	text   = object{{"type", "string"}}
	number = object{{"type", "integer"}, {"format", "int64"}, {"minimum", 0}}
	count  = object{{"type", "integer"}, {"minimum", 1}}
	onOff  = object{{"type", "string"}, {"enum", []string{"1", "true", "0", "false"}}}
	short  = object{{"type", "string"}, {"pattern", "^[!-~]{1,100}$"}}
)

// parameters are all that routes take, by name.
var parameters = map[string]parameter{
	"id":                {"path", "", text},
	"name":              {"path", "The listener. A slash in it is written %2F.", text},
	"path":              {"path", "The file's path. Its slashes stand as they are.", text},
	"limit":             {"query", "How many at most.", object{{"type", "integer"}, {"minimum", 1}, {"maximum", api.MaxLimit}, {"default", api.DefaultLimit}}},
	"before":            {"query", "Go on where a page ended: its `next`.", text},
	"listener":          {"query", "Only those of this listener.", text},
	"repo":              {"query", "Only those of this repository, owner/repo.", text},
	"branch":            {"query", "Only those of this branch.", text},
	"delivery":          {"query", "Only those that this delivery led to.", text},
	"status":            {"query", "Only those in this state.", object{{"$ref", "#/components/schemas/State"}}},
	"attempt":           {"query", "The attempt's number.", count},
	"offset":            {"query", "In bytes.", number},
	"bytes":             {"query", "How long the whole file is.", number},
	"sha256":            {"query", "Of the whole file, in hex.", object{{"type", "string"}, {"pattern", "^[0-9a-f]{64}$"}}},
	"follow":            {"query", "Go on until the attempt has ended.", onOff},
	"force":             {"query", "Also one that is connected.", onOff},
	"dry_run":           {"query", "Only say what would be done.", onOff},
	"wait":              {"query", "How long to wait for something, as 30s; at most 60s.", object{{"type", "string"}, {"examples", []string{"30s"}}}},
	"X-GitHub-Delivery": {"header", "The delivery's id.", short},
	"X-GitHub-Event":    {"header", "The event's name.", short},
	"Range":             {"header", "Only this part, as `bytes=1000-`.", text},
	logtime.Header:      {"header", "When the bytes came, and which step printed them, as far as it is known: offset.milliseconds.step of each record, apart by spaces; all but the first count offset and time from the one before.", text},
	"If-None-Match":     {"header", "The ETag of what is known already.", text},
}
