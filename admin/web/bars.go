package web

import (
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"
)

// bar is a run in a row of bars: the longer it took, the higher.
type bar struct {
	Recent
	Height int // 3 to 24
	Took   string
}

// bars are recent runs from left to right, the newest last.
func bars(recent []Recent) []bar {
	var longest time.Duration
	list := make([]bar, len(recent))
	for i, r := range recent {
		own := &list[len(recent)-1-i]
		own.Recent = r
		if r.StartedAt != nil {
			longest = max(longest, r.FinishedAt.Sub(*r.StartedAt))
			own.Took = " in " + spent(r.FinishedAt.Sub(*r.StartedAt))
		}
	}
	for i := range list {
		list[i].Height = 3
		if b := list[i]; b.StartedAt != nil && longest > 0 {
			list[i].Height = 3 + int(21*max(b.FinishedAt.Sub(*b.StartedAt), 0)/longest)
		}
	}
	return list
}

// How bars are drawn, in pixels: the width of one, and from one to the next.
const (
	barWidth = 4
	barStep  = 5
	barSpace = 24 // the height of the highest
)

// picture draws bars. A page has hundreds of them: a template would take most of its time for these.
func picture(bars []bar) template.HTML {
	var b strings.Builder
	width := barStep*len(bars) - (barStep - barWidth)
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" width="%d" height="%d" role="group" aria-label="Runs that ended last: the higher, the longer they took">`,
		width, barSpace, width, barSpace)
	for i, one := range bars {
		said := word(one.Status) + one.Took
		about := said
		if one.Branch != "" {
			about += " · " + plain(one.Branch)
		}
		b.WriteString(`<a href="/runs/` + template.HTMLEscapeString(url.PathEscape(one.ID)) + `" aria-label="` + template.HTMLEscapeString(said) + `"><title>` +
			template.HTMLEscapeString(about) + `</title>`)
		fmt.Fprintf(&b, `<rect class="b-%s" x="%d" y="%d" width="%d" height="%d" rx="1"/></a>`, look(one.Status), barStep*i, barSpace-one.Height, barWidth, one.Height)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}
