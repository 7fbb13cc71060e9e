package match

import (
	"strings"
	"sync"

	"lightspeed/event"
)

// sight is one event while it is matched: what many listeners ask of it is found out once. It belongs to
// one goroutine.
type sight struct {
	event    *event.Event
	texts    [subjects]string
	skipWord func() string

	answers map[question]bool
	files   map[*pattern]bits
}

// subject is one of the event's texts that patterns are asked about.
type subject int

const (
	repoText    subject = iota // owner/repo in lower case
	refText                    // the branch or tag; a pull request's base
	messageText                // what the expressions of message see
	subjects
)

type question struct {
	*pattern
	subject
}

func newSight(e *event.Event) *sight {
	s := &sight{event: e, answers: map[question]bool{}, files: map[*pattern]bits{}}
	s.texts[repoText] = strings.ToLower(e.Repo)
	s.texts[refText] = refOf(e)
	s.texts[messageText] = e.Message[:min(maxMessage, len(e.Message))]
	s.skipWord = sync.OnceValue(func() string { return skipWord(e.Message) })
	return s
}

// refOf returns the name that branches or tags are about.
func refOf(e *event.Event) string {
	switch {
	case e.Tag != "":
		return e.Tag
	case e.Name == event.PullRequest:
		return e.Base
	}
	return e.Branch
}

// matches reports whether a pattern is about one of the texts. Only what is dear is remembered.
func (s *sight) matches(p *pattern, about subject) bool {
	if p.shape != byRegexp {
		return p.matches(s.texts[about])
	}
	q := question{p, about}
	answer, known := s.answers[q]
	if !known {
		answer = p.matches(s.texts[about])
		s.answers[q] = answer
	}
	return answer
}

// holds reports whether a filter holds for one of the texts.
func (s *sight) holds(f filter, about subject) bool {
	return f.holds(func(p *pattern) bool { return s.matches(p, about) })
}

// anyFile reports whether a filter holds for at least one file.
func (s *sight) anyFile(f filter) bool {
	in := s.newBits()
	for _, e := range f.entries {
		for i, word := range s.filesOf(e.pattern) {
			if e.not {
				in[i] &^= word
			} else {
				in[i] |= word
			}
		}
	}
	return in.any()
}

// filesOf returns which files the pattern matches.
func (s *sight) filesOf(p *pattern) bits {
	if found, known := s.files[p]; known {
		return found
	}
	found := s.newBits()
	for i, file := range s.event.Files {
		if p.matches(file) {
			found[i/64] |= 1 << (i % 64)
		}
	}
	s.files[p] = found
	return found
}

// bits has one bit a file.
type bits []uint64

func (s *sight) newBits() bits { return make(bits, (len(s.event.Files)+63)/64) }

func (b bits) any() bool {
	for _, word := range b {
		if word != 0 {
			return true
		}
	}
	return false
}
