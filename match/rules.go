// Package match turns a listener's rules into a decision about an event, with its reason. It is pure:
// everything is compiled once, and deciding touches nothing but memory.
package match

// Rules are what a listener listens for: the part of its config that travels to admin. It never holds
// commands, folders, environment, URLs or tokens. The JSON is the config's own. All rules must hold; they
// are asked in the order repository, event, fork, delete, ref, files, message, and the first that does not
// hold is the Decision's. Of a list of patterns the last one that matches decides, and "!" makes it exclude.
type Rules struct {
	Name         string   `json:"name"`                    // the listener; the name rule uses it when Repos is empty
	Repos        []string `json:"repos,omitempty"`         // globs over owner/repo, whatever the letter case; a lone * is every repository
	Events       []string `json:"events,omitempty"`        // "push", "release:published"; none: push. A plain pull_request means opened, reopened, synchronize, ready_for_review
	Branches     []string `json:"branches,omitempty"`      // GitHub Actions' patterns; for a pull request over its base. Without Tags no tag matches
	Tags         []string `json:"tags,omitempty"`          // the same; without Branches and BranchFilter no branch matches
	Files        []string `json:"files,omitempty"`         // the same, of at least one file; not asked of tags and where the list is unknown
	BranchFilter []string `json:"branch_filter,omitempty"` // exact names of branches, as in earlier configs
	FilesFilter  []string `json:"files_filter,omitempty"`  // substrings, as in earlier configs
	Message      *Message `json:"message,omitempty"`
	Forks        string   `json:"forks,omitempty"`   // "never" (default) or "always"
	Deletes      bool     `json:"deletes,omitempty"` // also a push that deletes the ref; the event delete needs no Deletes
}

// Message holds RE2 expressions on the head commit's message: Event.Message, its first 64 KiB. Where there is
// none (a deleted ref, create, delete) it is empty.
type Message struct {
	Match string `json:"match,omitempty"` // must be found
	Skip  string `json:"skip,omitempty"`  // must not be found
}

// Decision says whether a listener's rules hold for an event or, if not, which was the first that did not.
// The command line, the API, hooks' answer and the page all show these words.
type Decision struct {
	Matched bool   `json:"matched"`
	Rule    string `json:"rule,omitempty"` // the config key: "repos", "name", "events", "branches", …
	Saw     string `json:"saw,omitempty"`  // the event's value, shortened to be shown
	Want    string `json:"want,omitempty"` // the rule's value, shortened to be shown
	Why     string `json:"why,omitempty"`  // both in one sentence: "branches: saw dev, want main"
}

// RepoHeld reports whether the rule about the repository held: whether the listener is about this
// repository at all.
func (d Decision) RepoHeld() bool { return d.Matched || (d.Rule != "name" && d.Rule != "repos") }
