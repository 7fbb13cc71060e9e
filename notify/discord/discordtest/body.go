package discordtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Embed is the part of an embed that is used.
type Embed struct {
	Title       string  `json:"title"`
	URL         string  `json:"url"`
	Description string  `json:"description"`
	Color       int     `json:"color"`
	Fields      []Field `json:"fields"`
	Footer      Footer  `json:"footer"`
	Timestamp   string  `json:"timestamp"`
}

// Field is one field of an embed.
type Field struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Inline bool   `json:"inline"`
}

// Footer is an embed's last line.
type Footer struct {
	Text string `json:"text"`
}

// body is a payload: https://discord.com/developers/docs/resources/webhook#execute-webhook.
type body struct {
	Content     *string           `json:"content"`
	Embeds      []Embed           `json:"embeds"`
	Mentions    *mentions         `json:"allowed_mentions"`
	Attachments *[]map[string]any `json:"attachments"`

	raw            string
	hasFile        bool
	file, fileText string
}

type mentions struct {
	Parse []string `json:"parse"`
	Users []string `json:"users"`
	Roles []string `json:"roles"`
}

const maxFile = 10 << 20

func read(r *http.Request) (b body, err error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return b, fmt.Errorf("content_type: %w", err)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return b, err
	}
	switch media {
	case "application/json":
	case "multipart/form-data":
		r.Body = io.NopCloser(bytes.NewReader(text))
		if text, err = b.form(r); err != nil {
			return b, err
		}
	default:
		return b, fmt.Errorf("content_type: %s", media)
	}
	if !utf8.Valid(text) {
		return b, errors.New("body: not UTF-8")
	}
	b.raw = string(text)
	return b, json.Unmarshal(text, &b)
}

func (b *body) form(r *http.Request) (payload []byte, err error) {
	if err := r.ParseMultipartForm(maxFile); err != nil {
		return nil, err
	}
	for name, files := range r.MultipartForm.File {
		f, err := files[0].Open()
		if err != nil || name != "files[0]" {
			return nil, fmt.Errorf("%s: no such file (%v)", name, err)
		}
		text, err := io.ReadAll(f)
		if err != nil || len(text) > maxFile {
			return nil, errors.New("files: Request entity too large")
		}
		b.hasFile, b.file, b.fileText = true, files[0].Filename, string(text)
		f.Close()
	}
	return []byte(r.MultipartForm.Value["payload_json"][0]), nil
}

// units is how long Discord might find a text to be, at most.
func units(text string) int { return len(utf16.Encode([]rune(text))) }

func (b *body) check() error {
	if err := b.Mentions.check(); err != nil {
		return err
	}
	if b.Content != nil && units(*b.Content) > 2000 {
		return errors.New("content: Must be 2000 or fewer in length")
	}
	if len(b.Embeds) > 10 {
		return errors.New("embeds: Must be 10 or fewer in length")
	}
	if (b.Content == nil || *b.Content == "") && len(b.Embeds) == 0 && !b.hasFile {
		return errors.New("content: Cannot send an empty message")
	}
	all := 0
	for i, e := range b.Embeds {
		n, err := e.check(fmt.Sprintf("embeds.%d", i))
		if err != nil {
			return err
		}
		all += n
	}
	if all > 6000 {
		return errors.New("embeds: Embed size exceeds maximum size of 6000")
	}
	if b.hasFile && (b.Attachments == nil || len(*b.Attachments) != 1 || (*b.Attachments)[0]["id"] != 0.0) {
		return errors.New("attachments: do not name the file")
	}
	return nil
}

// check asks for more than Discord: what it does with messages that leave these out, nobody wants to find out.
func (m *mentions) check() error {
	switch {
	case m == nil:
		return errors.New("allowed_mentions: left out: Discord would call whom it likes")
	case m.Parse == nil:
		return errors.New("allowed_mentions.parse: null or left out")
	case len(m.Users) > 100 || len(m.Roles) > 100:
		return errors.New("allowed_mentions: Must be 100 or fewer in length")
	case slices.Contains(m.Parse, "users") && len(m.Users) > 0, slices.Contains(m.Parse, "roles") && len(m.Roles) > 0:
		return errors.New("allowed_mentions.parse: both a kind and ids of it")
	}
	return nil
}

func (e Embed) check(at string) (size int, err error) {
	type text struct {
		name, value string
		most        int
		need        bool
	}
	texts := []text{
		{"title", e.Title, 256, false}, {"description", e.Description, 4096, false}, {"footer.text", e.Footer.Text, 2048, false},
	}
	for i, f := range e.Fields {
		texts = append(texts, text{fmt.Sprintf("fields.%d.name", i), f.Name, 256, true}, text{fmt.Sprintf("fields.%d.value", i), f.Value, 1024, true})
	}
	for _, t := range texts {
		n := units(t.value)
		size += n
		if n > t.most {
			return 0, fmt.Errorf("%s.%s: Must be %d or fewer in length", at, t.name, t.most)
		}
		if t.need && strings.TrimSpace(t.value) == "" {
			return 0, fmt.Errorf("%s.%s: This field is required", at, t.name)
		}
	}
	if len(e.Fields) > 25 {
		return 0, fmt.Errorf("%s.fields: Must be 25 or fewer in length", at)
	}
	return size, e.checkForm(at)
}

func (e Embed) checkForm(at string) error {
	if e.URL != "" {
		if u, err := url.Parse(e.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%s.url: Not a well formed URL", at)
		}
	}
	if e.Timestamp != "" {
		if _, err := time.Parse(time.RFC3339, e.Timestamp); err != nil {
			return fmt.Errorf("%s.timestamp: Could not parse", at)
		}
	}
	return nil
}

var mention = regexp.MustCompile(`@everyone|@here|<@(!|&)?([0-9]+)>`)

// calls lists whom a new message calls: who is mentioned in its content, and allowed. Embeds call nobody.
func (b *body) calls() []string {
	if b.Content == nil {
		return nil
	}
	var all []string
	for _, m := range mention.FindAllStringSubmatch(*b.Content, -1) {
		switch {
		case m[2] == "":
			if slices.Contains(b.Mentions.Parse, "everyone") {
				all = append(all, m[0])
			}
		case m[1] == "&":
			if slices.Contains(b.Mentions.Parse, "roles") || slices.Contains(b.Mentions.Roles, m[2]) {
				all = append(all, "role "+m[2])
			}
		case slices.Contains(b.Mentions.Parse, "users") || slices.Contains(b.Mentions.Users, m[2]):
			all = append(all, "user "+m[2])
		}
	}
	return all
}
