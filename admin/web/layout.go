package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// assetTypes are the files that browsers get, and what each is.
var assetTypes = map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}

// assetVersion changes whenever one of the files does: browsers may keep a file for as long as it has its name.
var assetVersion = func() string {
	sum := sha256.New()
	for _, file := range []string{"page.css", "page.js"} {
		content, err := assets.ReadFile("assets/" + file)
		if err != nil {
			panic(err) // it is part of the program
		}
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}()

// layout is what every page has around its own.
type layout struct {
	Title, Icon string
	Section     string // of the navigation
	Person      Person
	Anonymous   bool // nobody is logged in: no navigation
	MayLogOut   bool
	Notice      string // what was just done
	Version     string // of the assets
	Live        string // the address of the page's events; empty when it has none
}

func (v *visit) layout(title, section string) layout {
	return layout{
		Title: title + " · Lightspeed", Icon: "none", Section: section, Person: v.person, MayLogOut: !v.access.Open(),
		Notice: notices[v.r.URL.Query().Get("done")], Version: assetVersion,
	}
}

// notices say what a form has done, after the page that it leads to has loaded.
var notices = map[string]string{
	"cancelled": "The run was asked to end.",
	"retried":   "This is the new run.",
	"released":  "The slot is free.",
	"triggered": "The run was queued.",
	"paused":    "The listener is paused: its queue hands out nothing. What runs goes on.",
	"resumed":   "The listener gets runs again.",
	"removed":   "The listener was removed.",
	"replayed":  "The delivery was replayed.",
}

var templates = func() map[string]*template.Template {
	functions := template.FuncMap{
		"shown": shown, "shownUpTo": shownUpTo, "plain": plain, "word": word, "status": status, "ago": ago, "took": took, "size": size,
		"grouped": grouped, "commit": commit, "webLink": webLink, "count": count, "segment": url.PathEscape, "segments": segments, "look": look,
		"value": func(p *string) string {
			if p == nil {
				return ""
			}
			return *p
		},
		"ptr":        func(t time.Time) *time.Time { return &t },
		"shownLines": shownLines, "picture": picture,
	}
	base := template.Must(template.New("").Funcs(functions).ParseFS(assets, "assets/layout.html", "assets/parts.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{
		"runs.html", "run.html", "lines.html", "deliveries.html", "delivery.html", "listeners.html", "listener.html", "login.html", "error.html",
	} {
		own := template.Must(template.Must(base.Clone()).ParseFS(assets, "assets/"+name))
		all[name] = own.Lookup(name)
	}
	return all
}()

// sendAsset answers with the style sheet, the script or an icon.
func (s *Server) sendAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	kind := assetTypes[name[strings.LastIndexByte(name, '.')+1:]]
	content, err := assets.ReadFile("assets/" + name)
	if kind == "" || err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(content)
}
