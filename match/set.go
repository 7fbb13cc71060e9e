package match

import (
	"slices"
	"strings"
	"sync"

	"lightspeed/event"
)

// Set decides for many listeners at once. What several of them ask is answered once an event: patterns of
// the same text are one pattern. It may be used by many goroutines at once; its zero value is empty.
type Set struct {
	mu       sync.Mutex
	matchers map[string]*Matcher
	patterns map[string]*shared
	listed   []listed // made when it is needed, and never changed then
}

type listed struct {
	name    string
	matcher *Matcher
}

// shared counts who uses a pattern.
type shared struct {
	pattern *pattern
	users   int
}

// Verdict is what a Set says about an event.
type Verdict struct {
	Matched []string // names, sorted
	Skipped []Judged // listeners that are about the repository and do not match, sorted by name
	Others  int      // how many listeners are not about the repository
}

// Judged is a listener and what was decided for it.
type Judged struct {
	Name string
	Decision
}

// Put adds a listener, or replaces it.
func (s *Set) Put(name string, m *Matcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.matchers == nil {
		s.matchers, s.patterns = map[string]*Matcher{}, map[string]*shared{}
	}
	own := m.withPatterns(s.share)
	s.remove(name)
	s.matchers[name] = own
	s.listed = nil
}

// Remove forgets a listener; one that is not there is no error.
func (s *Set) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(name)
}

// Len returns how many listeners there are.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.matchers)
}

// Decide asks every listener as they are now.
func (s *Set) Decide(e event.Event) Verdict {
	var v Verdict
	look := newSight(&e)
	for _, l := range s.list() {
		if !l.matcher.aboutRepo(look) {
			v.Others++
			continue
		}
		if d := l.matcher.decide(look); d.Matched {
			v.Matched = append(v.Matched, l.name)
		} else {
			v.Skipped = append(v.Skipped, Judged{l.name, d})
		}
	}
	slices.Sort(v.Matched)
	sortByName(v.Skipped)
	return v
}

// Explain returns every listener's decision, sorted by name.
func (s *Set) Explain(e event.Event) []Judged {
	look := newSight(&e)
	list := s.list()
	all := make([]Judged, len(list))
	for i, l := range list {
		all[i] = Judged{l.name, l.matcher.decide(look)}
	}
	sortByName(all)
	return all
}

func sortByName(all []Judged) {
	slices.SortFunc(all, func(a, b Judged) int { return strings.Compare(a.Name, b.Name) })
}

// list returns the listeners as they are now, in no order; nobody changes it any more.
func (s *Set) list() []listed {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed == nil {
		s.listed = make([]listed, 0, len(s.matchers))
		for name, m := range s.matchers {
			s.listed = append(s.listed, listed{name, m})
		}
	}
	return s.listed
}

func (s *Set) remove(name string) {
	m, ok := s.matchers[name]
	if !ok {
		return
	}
	m.withPatterns(s.release)
	delete(s.matchers, name)
	s.listed = nil
}

func (s *Set) share(p *pattern) *pattern {
	known, ok := s.patterns[p.key]
	if !ok {
		known = &shared{pattern: p}
		s.patterns[p.key] = known
	}
	known.users++
	return known.pattern
}

func (s *Set) release(p *pattern) *pattern {
	if known := s.patterns[p.key]; known.users > 1 {
		known.users--
	} else {
		delete(s.patterns, p.key)
	}
	return p
}

// withPatterns returns a copy with each pattern replaced.
func (m *Matcher) withPatterns(replace func(*pattern) *pattern) *Matcher {
	own := *m
	for _, f := range []*filter{&own.repos, &own.branches, &own.tags, &own.files, &own.branchFilter, &own.filesFilter} {
		f.entries = slices.Clone(f.entries)
		for i := range f.entries {
			f.entries[i].pattern = replace(f.entries[i].pattern)
		}
	}
	for _, p := range []**pattern{&own.messageMatch, &own.messageSkip} {
		if *p != nil {
			*p = replace(*p)
		}
	}
	return &own
}
