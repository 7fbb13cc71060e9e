package journal

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/run"
)

// recordsFile holds what became known of the attempt, a line of JSON each. The attempt is held while it is there.
//
// One file, and none made anew for each: a file system looks for a place for each file, longest of all where many were made
// and removed a moment ago, and that was a fifth of what a short run costs the listener.
const recordsFile = "records"

// maxRecords bounds what is read of the file, in bytes. The largest that this program writes has the steps after the start of
// each of them, run.MaxSteps times the 256 KiB that admin takes, and each artifact twice, in the list and when it is handed in:
// api.MaxArtifactCount names of a kilobyte in which each byte may take six.
const maxRecords = 64 << 20

// record is one line. Of each kind the last one counts, but for HandedIn, of which each does.
type record struct {
	At        time.Time       `json:"at"`
	Claimed   *claimed        `json:"claimed,omitempty"`
	Started   *started        `json:"started,omitempty"`
	Ended     *Ended          `json:"ended,omitempty"`
	Artifacts *[]api.Artifact `json:"artifacts,omitempty"` // what is kept; it is written when all of it is copied
	HandedIn  string          `json:"handed_in,omitempty"` // path of one of these that is done with
	Result    *api.Finish     `json:"result,omitempty"`
}

// claimed is what was taken on. The payload has a file of its own.
type claimed struct {
	Instance string    `json:"instance"`
	Claim    api.Claim `json:"claim"`
}

// started is the command that was started last, and how far the steps had come.
type started struct {
	Process
	Steps []run.Step `json:"steps"` // their places in the log are Positions
}

// records writes the file.
type records struct {
	file *os.File
	size int64 // of the lines that are whole
}

func createRecords(path string) (*records, error) {
	fd, err := openFile(path, unix.O_RDWR|unix.O_EXCL)
	if err != nil {
		return nil, err
	}
	return &records{file: os.NewFile(uintptr(fd), path)}, nil
}

// add writes a line, and returns when.
func (r *records) add(what record) (at time.Time, err error) {
	at = time.Now().UTC()
	return at, r.addAt(at, what)
}

// addAt writes a line. After an error what there is of it does not count: it has no end, and the next is written over it.
func (r *records) addAt(at time.Time, what record) error {
	what.At = at
	line, err := json.Marshal(what)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if _, err := r.file.WriteAt(line, r.size); err != nil {
		return err
	}
	r.size += int64(len(line))
	fault.Point("journal.recorded")
	return nil
}

func (r *records) close() { _ = r.file.Close() }

// openRecords opens the file that an earlier process has written, and hands each of its lines to take. A last one without an
// end was being written when the process was killed: it counts for nothing. One that cannot be read is said, and left out.
func openRecords(path string, log *slog.Logger, take func(record)) (*records, error) {
	text, err := readFile(path, maxRecords)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	r := &records{file: file}
	for line := range bytes.Lines(text) {
		if line[len(line)-1] != '\n' {
			break
		}
		var what record
		if err := json.Unmarshal(line, &what); err != nil {
			log.Error("journal entry is torn: a line of it cannot be read, and is left out", "offset", r.size, "err", err)
		} else {
			take(what)
		}
		r.size += int64(len(line))
	}
	return r, nil
}
