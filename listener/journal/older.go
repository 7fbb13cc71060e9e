package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"lightspeed/api"
)

// olderClaimFile is what an attempt was held by in versions until November 2026.
const olderClaimFile = "claim.json"

// olderFiles are the files that those versions had in place of the records, and where in a record each of them belongs.
var olderFiles = []struct {
	name string
	part func(*record) any
}{
	{olderClaimFile, func(r *record) any { r.Claimed = new(claimed); return r.Claimed }},
	{"process.json", func(r *record) any { r.Started = new(started); return r.Started }},
	{"ended.json", func(r *record) any { r.Ended = new(Ended); return r.Ended }},
	{"artifacts.json", func(r *record) any { return &r.Artifacts }},
	{"result.json", func(r *record) any { r.Result = new(api.Finish); return r.Result }},
}

// adopt makes records of an attempt that an older version has left, so that an upgrade loses nothing. What cannot be read is
// said, and left out. It returns fs.ErrNotExist when there are neither records nor what older versions had.
func (e *Entry) adopt(log *slog.Logger) error {
	switch _, err := os.Stat(e.file(recordsFile)); {
	case err == nil:
		return e.unclaim() // a kill may have come before it below
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := os.Stat(e.file(olderClaimFile)); err != nil {
		return err
	}
	tmp := e.file(recordsFile + ".tmp")
	_ = os.Remove(tmp)
	adopted, err := createRecords(tmp)
	if err != nil {
		return err
	}
	defer adopted.close()
	for _, older := range olderFiles {
		var what record
		switch err := readJSON(e.file(older.name), older.part(&what)); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			log.Error("journal entry of an earlier version is torn: a file of it cannot be read, and is left out", "err", err)
			continue
		}
		info, err := os.Stat(e.file(older.name))
		if err != nil {
			return err
		}
		if err := adopted.addAt(info.ModTime().UTC(), what); err != nil {
			return fmt.Errorf("records of an earlier version's attempt: %w", err)
		}
	}
	if err := unix.Rename(tmp, e.file(recordsFile)); err != nil {
		return err
	}
	return e.unclaim()
}

// unclaim removes what an older version held the attempt by: it is held by its records, and no longer than they are there.
func (e *Entry) unclaim() error {
	if err := os.Remove(e.file(olderClaimFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
