package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"
)

// maxPayloadShown is how much of a payload its page shows, in bytes; the raw one is a link.
const maxPayloadShown = 16 << 10

type deliveriesPage struct {
	layout
	Items         []Delivery
	Older, Newest string
}

func (v *visit) showDeliveries() error {
	before := v.r.FormValue("before")
	list, err := v.source.Deliveries(v.r.Context(), before)
	if err != nil {
		return err
	}
	p := deliveriesPage{layout: v.layout("Deliveries", "deliveries"), Items: list.Items}
	if p.Live = "/live"; before != "" {
		p.Live, p.Newest = "", "/deliveries"
	}
	if list.Next != "" {
		p.Older = "/deliveries?before=" + url.QueryEscape(list.Next)
	}
	return v.render(http.StatusOK, "deliveries.html", p)
}

type deliveryPage struct {
	layout
	Delivery
	Verdicts []Verdict // of listeners that are about the repository
	Others   []Verdict
	Payload  string
	Cut      bool   // of the payload only the beginning is shown
	Gone     string // why there is neither payload nor verdict any more
	Replay   *Replay
	Asked    string // the listener that the dry run was for; empty: all
}

func (v *visit) showDelivery() error {
	p, err := v.findDelivery(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "delivery.html", p)
}

func (v *visit) findDelivery(id string) (deliveryPage, error) {
	ctx := v.r.Context()
	p := deliveryPage{layout: v.layout("Delivery", "deliveries")}
	var err error
	if p.Delivery, err = v.source.Delivery(ctx, id); err != nil {
		return p, err
	}
	p.Title, p.Live = plain(p.Event+" "+p.Repo)+" · Delivery · Lightspeed", "/live"
	verdicts, err := v.source.Verdicts(ctx, id)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Status == http.StatusGone {
		p.Gone = refusal.Message
		return p, nil
	}
	if err != nil {
		return p, err
	}
	slices.SortStableFunc(verdicts, byInterest)
	for _, one := range verdicts {
		if one.RepoHeld() {
			p.Verdicts = append(p.Verdicts, one)
		} else if len(p.Others) < maxOthers {
			p.Others = append(p.Others, one)
		}
	}
	body, err := v.source.Payload(ctx, id)
	if err != nil {
		return p, err
	}
	p.Payload, p.Cut = payloadText(body)
	return p, nil
}

// maxOthers bounds how many listeners a page names that are not about the repository at all.
const maxOthers = 200

// byInterest puts what matched first.
func byInterest(a, b Verdict) int {
	switch {
	case a.Matched == b.Matched:
		return 0
	case a.Matched:
		return -1
	}
	return 1
}

// payloadText is a payload for people: JSON indented, what is not JSON as it came.
func payloadText(body []byte) (text string, cut bool) {
	var out bytes.Buffer
	if len(body) <= maxPayloadIndented && json.Indent(&out, body, "", "  ") == nil {
		body = out.Bytes()
	}
	if len(body) <= maxPayloadShown {
		return string(body), false
	}
	end := maxPayloadShown
	for end > 0 && !utf8.RuneStart(body[end]) {
		end--
	}
	return string(body[:end]), true
}

// maxPayloadIndented bounds what is worth the work, in bytes.
const maxPayloadIndented = 1 << 20

// sendPayload answers with the body as it came. It is the sender's text: a browser must not run it.
func (v *visit) sendPayload() error {
	body, err := v.source.Payload(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Content-Security-Policy", "sandbox")
	_, _ = v.w.Write(body)
	return nil
}

// replay runs a delivery again, or shows what that would do.
func (v *visit) replay() error {
	id, listener := v.r.PathValue("id"), v.r.PostFormValue("listener")
	var listeners []string
	if listener != "" {
		listeners = []string{listener}
	}
	dry := v.r.PostFormValue("dry_run") != ""
	done, err := v.source.Replay(v.r.Context(), id, listeners, dry)
	if err != nil {
		return err
	}
	if !dry && len(done.Runs) == 1 {
		return v.seeOther("/runs/" + done.Runs[0].ID + "?done=replayed")
	}
	if !dry && len(done.Runs) > 1 {
		return v.seeOther("/?delivery=" + url.QueryEscape(id))
	}
	p, err := v.findDelivery(id)
	if err != nil {
		return err
	}
	p.Replay, p.Asked = &done, listener
	return v.render(http.StatusOK, "delivery.html", p)
}
