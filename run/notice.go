package run

import "time"

// Notice says how telling one target of a run went: a Discord channel, or the commit's status.
type Notice struct {
	Target string       `json:"target"` // "discord", "commit-status"
	Status NoticeStatus `json:"status"`
	Error  *string      `json:"error"` // why it is not told
	Hint   *string      `json:"hint"`  // what to do about it
	At     time.Time    `json:"at"`
}

// NoticeStatus is how far a notice has come.
type NoticeStatus string

// The statuses of a notice.
const (
	Told        NoticeStatus = "told"
	ToldLate    NoticeStatus = "delayed" // it could not be told for more than a minute; it is tried again
	ToldToNoOne NoticeStatus = "failed"  // it will not be told
)
