package journal

import "lightspeed/api"

const endedFile = "ended.json" // how the commands ended, while the attempt still has to keep artifacts

// Ended is how the commands of an attempt ended that has still to keep artifacts, and from where.
type Ended struct {
	Finish   api.Finish `json:"finish"` // without what is known of the log only at its end; places of steps are Positions
	Root     string     `json:"root"`
	Patterns []string   `json:"patterns"`
}

// SetEnded notes how the commands ended, before anything of what is kept is copied: whoever is killed meanwhile goes on
// with that, and the run is not lost.
func (e *Entry) SetEnded(ended Ended) error {
	e.ended = &ended
	return writeJSON(e.file(endedFile), ended)
}

// Ended returns what SetEnded wrote; nil when the commands run, or nothing is to be kept.
func (e *Entry) Ended() *Ended { return e.ended }
