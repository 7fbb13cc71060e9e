package checkout

import (
	"bytes"
	"cmp"
	"strings"
	"time"
)

const (
	// progressPeriod is how often a line is passed on that git would overwrite.
	progressPeriod = 10 * time.Second

	// mostLines and longestLine bound what is passed on of one call of git: a remote may say what it likes.
	mostLines   = 200
	longestLine = 1000 // bytes
)

// reporter passes on what git says. Of the lines that git overwrites to show progress only some are.
type reporter struct {
	say   func(string)
	clean func(string) string
	worst string // the last line that says what went wrong

	last  string // line
	line  []byte
	lines int
	shown time.Time
}

func (r *reporter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		end := bytes.IndexAny(b, "\r\n")
		if end < 0 {
			r.keep(b)
			break
		}
		r.keep(b[:end])
		r.end(b[end] == '\r')
		b = b[end+1:]
	}
	return n, nil
}

// keep adds to the line that is not done yet.
func (r *reporter) keep(b []byte) {
	r.line = append(r.line, b[:min(len(b), longestLine-min(longestLine, len(r.line)))]...)
}

// flush passes on what stands without a line's end.
func (r *reporter) flush() { r.end(false) }

func (r *reporter) end(overwritten bool) {
	line := strings.TrimRight(r.clean(strings.ToValidUTF8(string(r.line), "?")), " \t")
	r.line = r.line[:0]
	if line == "" {
		return
	}
	r.judge(line)
	if overwritten && time.Since(r.shown) < progressPeriod {
		return
	}
	r.shown = time.Now()
	switch r.lines++; {
	case r.lines <= mostLines:
		r.say(line)
	case r.lines == mostLines+1:
		r.say("more lines of git are not shown")
	}
}

// judge notes what went wrong. A full disk is behind all that is said later. That the remote could not be read says
// nothing of the why: ssh has said it in the line before, or the remote in one that begins with ERROR.
func (r *reporter) judge(line string) {
	before := r.last
	r.last = line
	switch {
	case diskFull(r.worst):
	case strings.HasPrefix(line, "fatal: Could not read from remote repository"):
		if r.worst == "" {
			r.worst = cmp.Or(before, line)
		}
	case strings.HasPrefix(line, "fatal: "), strings.HasPrefix(line, "error: "), r.worst == "" && strings.HasPrefix(line, "ERROR: "):
		r.worst = line
	}
}
