package journal

import (
	"os"
	"time"

	"lightspeed/api"
)

// Claim returns what was claimed, without its payload. It is zero when what was written of it is torn.
func (e *Entry) Claim() api.Claim { return e.claim }

// BeganAt is when the attempt was taken on, by this machine's clock; zero when that cannot be read.
func (e *Entry) BeganAt() time.Time { return e.writtenAt(claimFile) }

// EndedAt is when SetResult wrote the result; zero when it has not.
func (e *Entry) EndedAt() time.Time { return e.writtenAt(resultFile) }

func (e *Entry) writtenAt(name string) time.Time {
	info, err := os.Stat(e.file(name))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime().UTC()
}
