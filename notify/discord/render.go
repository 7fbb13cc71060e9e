package discord

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"lightspeed/notify"
	"lightspeed/run"
)

// Limits that hold for every message, in the units that text.go counts. They are chosen so that all of them
// together stay below Discord's limits: description 4,096, field 256 and 1,024, footer 2,048, title 256, and
// 6,000 for an embed (https://discord.com/developers/docs/resources/message#embed-object-embed-limits).
const (
	titleUnits   = 200
	messageUnits = 200
	linkBytes    = 500
	reasonUnits  = 400
	valueUnits   = 200
	footerUnits  = 200
)

// message is what is posted, and what an edit puts in its place
// (https://discord.com/developers/docs/resources/webhook#execute-webhook).
type message struct {
	Content     string        `json:"content,omitempty"`
	Embeds      []embed       `json:"embeds"`
	Mentions    mentions      `json:"allowed_mentions"`
	Attachments *[]attachment `json:"attachments,omitempty"` // of an edit: those that stay or come; all others go

	file []byte // what the first attachment holds
}

type embed struct {
	Title       string  `json:"title"`
	URL         string  `json:"url,omitempty"`
	Description string  `json:"description,omitempty"`
	Color       int     `json:"color"`
	Fields      []field `json:"fields,omitempty"`
	Footer      *footer `json:"footer,omitempty"`
	Timestamp   string  `json:"timestamp,omitempty"`
}

type field struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline"`
}

type footer struct {
	Text string `json:"text"`
}

type attachment struct {
	ID       int    `json:"id"`
	Filename string `json:"filename"`
}

// looks are the colour and the sign of each state.
var looks = map[run.State]struct {
	color int
	sign  string
}{
	run.Running:    {0x3b82f6, "⏳"},
	run.Passed:     {0x22a045, "✅"},
	run.Failed:     {0xd1242f, "❌"},
	run.Errored:    {0xd1242f, "⚠️"},
	run.TimedOut:   {0xe36209, "⌛"},
	run.Cancelled:  {0x8b949e, "🚫"},
	run.Superseded: {0x8b949e, "🚫"},
	run.Lost:       {0x8250df, "❔"},
}

// render makes the message about a run. bare leaves out what Discord could dislike for another reason than its
// length: links and the file.
func render(t *notify.Telling, bare bool) message {
	n := &t.Notice
	log := readable(n.Log.Text)
	fenced, whole := excerpt(log)
	e := embed{
		Title:       title(t),
		Description: lines(headline(n, bare), reason(n), fenced),
		Color:       looks[n.State].color,
		Fields:      fields(n),
		Footer:      &footer{foot(n)},
		Timestamp:   timestamp(n),
	}
	m := message{Embeds: []embed{e}, Mentions: nobody()}
	if bare {
		return m
	}
	m.Embeds[0].URL = link(n.Page)
	if !whole || n.Log.Cut && fenced != "" {
		m.attach("log-"+fileSafe(n.Run)+".txt", logFile(log, n.Log.Cut))
	}
	return m
}

func (m *message) attach(name string, text []byte) {
	m.Attachments = &[]attachment{{ID: 0, Filename: name}}
	m.file = text
}

// renderCall makes the message that calls people: what calls them stands alone in the content, and what comes
// from outside in the embed, where nothing can call anybody.
func renderCall(t *notify.Telling, c call, bare bool) message {
	n := &t.Notice
	e := embed{Title: title(t), Color: looks[n.State].color, Description: lines(where(n), reason(n))}
	if !bare {
		e.URL = link(n.Page)
	}
	return message{Content: c.content, Embeds: []embed{e}, Mentions: c.allowed}
}

func title(t *notify.Telling) string {
	n := &t.Notice
	return strings.TrimSpace(looks[n.State].sign + " " + escaped(n.Listener, titleUnits-40) + " " + t.Verb())
}

// lines puts those that are not empty under each other.
func lines(parts ...string) string {
	var kept []string
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "\n")
}

// headline says what the run is about, linked to the page that shows what changed.
func headline(n *notify.Notice, bare bool) string {
	text := escaped(firstLine(n.Event.Message), messageUnits)
	if n.Event.PR > 0 && text != "" {
		text = fmt.Sprintf(`\#%d %s`, n.Event.PR, text)
	}
	address := link(n.Event.URL)
	if address == "" || bare {
		return text
	}
	if text == "" {
		text = "what changed"
	}
	return "[" + text + "](" + address + ")"
}

func reason(n *notify.Notice) string {
	if !n.Ended() || n.State == run.Passed {
		return ""
	}
	if text := escaped(n.Reason, reasonUnits); text != "" {
		return "> " + text
	}
	return ""
}

// where names the place in one line, for a message that has no fields.
func where(n *notify.Notice) string {
	parts := []string{code(n.Event.Repo, valueUnits)}
	if _, ref := refField(n); ref != "" {
		parts = append(parts, ref)
	}
	if n.Event.SHA != "" {
		parts = append(parts, commit(n))
	}
	return strings.Join(parts, " · ")
}

func fields(n *notify.Notice) []field {
	refName, ref := refField(n)
	all := []field{
		{"Repository", code(n.Event.Repo, valueUnits), true},
		{refName, ref, true},
		{"Commit", commit(n), true},
		{"Author", escaped(n.Event.Author, valueUnits), true},
	}
	if n.Event.Name != "push" && n.Event.Name != "" {
		all = append(all, field{"Event", code(strings.TrimSpace(n.Event.Name+" "+n.Event.Action), valueUnits), true})
	}
	all = append(all, how(n)...)
	kept := all[:0]
	for _, f := range all {
		if f.Value != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

// how says since when it runs, or how it ended.
func how(n *notify.Notice) []field {
	if !n.Ended() {
		if n.StartedAt.IsZero() {
			return nil
		}
		return []field{{"Started", fmt.Sprintf("<t:%d:R>", n.StartedAt.Unix()), true}} // shown as "2 minutes ago", and kept so
	}
	var all []field
	if took := n.Took(); took > 0 {
		all = append(all, field{"Duration", notify.Short(took), true})
	}
	if n.State == run.Passed {
		return all
	}
	all = append(all, field{"Step", escaped(n.Step, valueUnits), true})
	if n.ExitCode != nil {
		all = append(all, field{"Exit status", fmt.Sprint(*n.ExitCode), true})
	}
	return all
}

func refField(n *notify.Notice) (name, value string) {
	e := &n.Event
	switch {
	case e.PR > 0:
		name, value = "Pull request", fmt.Sprintf(`\#%d %s → %s`, e.PR, code(e.Branch, valueUnits/2), code(e.Base, valueUnits/2))
	case e.Tag != "":
		name, value = "Tag", code(e.Tag, valueUnits)
	case e.Branch != "":
		name, value = "Branch", code(e.Branch, valueUnits)
	default:
		name, value = "Ref", code(e.Ref, valueUnits)
	}
	if e.Deleted && value != "" {
		value += " (deleted)"
	}
	return name, value
}

// commit is the short form of the commit, as git shows it.
func commit(n *notify.Notice) string { return code(n.Event.SHA[:min(len(n.Event.SHA), 7)], 20) }

func foot(n *notify.Notice) string {
	parts := []string{"run " + plain(n.Run, 60)}
	if n.Attempt > 1 {
		parts = append(parts, fmt.Sprintf("attempt %d", n.Attempt))
	}
	switch n.Cause {
	case run.ByRetry:
		parts = append(parts, strings.TrimSpace("retry of "+plain(n.RetryOf, 30)))
	case run.ByReplay, run.ByTrigger:
		parts = append(parts, string(n.Cause))
	}
	if host := plain(n.Host, 60); host != "" {
		parts = append(parts, "on "+host)
	}
	return strings.Join(parts, " · ")
}

func timestamp(n *notify.Notice) string {
	at := n.FinishedAt
	if at.IsZero() {
		at = n.StartedAt
	}
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// hostName is what a link's host may be; nothing that would have to be escaped in it.
var hostName = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]{1,5})?$`)

// link returns an address as it may stand in "[text](address)", or nothing when it is no http(s) address.
func link(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || !hostName.MatchString(u.Host) {
		return ""
	}
	text := strings.NewReplacer("(", "%28", ")", "%29", "<", "%3C", ">", "%3E", "[", "%5B", "]", "%5D", "`", "%60", "\\", "%5C",
		"*", "%2A", "|", "%7C", "~", "%7E", "@", "%40").Replace(u.String())
	if len(text) > linkBytes || visible(text) != text || strings.ContainsRune(text, ' ') {
		return ""
	}
	return text
}

// logFile is the end of a log as a file.
func logFile(log string, cut bool) []byte {
	if cut {
		log = "[… the end of the log; the page and \"lightspeed runs log\" show all of it]\n" + log
	}
	return []byte(log + "\n")
}

// fileSafe keeps what may stand in a file's name.
func fileSafe(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_' {
			return r
		}
		return -1
	}, id[:min(len(id), 60)])
}
