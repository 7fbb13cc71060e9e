package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lightspeed/api"
)

func TestOpenMakesAPrivateFile(t *testing.T) {
	f := open(t)
	info, err := os.Stat(f.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	var app, version int
	if err := f.readRow(t.Context(), []any{&app}, `PRAGMA application_id`); err != nil || app != applicationID {
		t.Errorf("application_id %#x, %v", app, err)
	}
	if err := f.readRow(t.Context(), []any{&version}, `PRAGMA user_version`); err != nil || version != len(migrations) {
		t.Errorf("user_version %d, %v", version, err)
	}
}

func TestReadersCannotWrite(t *testing.T) {
	f := open(t)
	if _, err := f.reading.Exec(`UPDATE meta SET value = 1`); err == nil {
		t.Fatal("a reader wrote")
	}
}

// pragma changes a database while it is closed.
func pragma(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "immediate"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct{ statement, want string }{
		"newer":    {`PRAGMA user_version = 1000`, "was written by a newer version of lightspeed: its schema is 1000, this one knows up to " + strconv.Itoa(len(migrations))},
		"another":  {`PRAGMA application_id = 1`, "is not Lightspeed's: its application_id is 0x1"},
		"unopened": {``, "file is not a database (26)"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "admin.db")
			if c.statement == "" {
				if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				s, err := Open(Options{Path: path})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				pragma(t, path, c.statement)
			}
			_, err := Open(Options{Path: path})
			if err == nil || err.Error() != "database "+path+": "+c.want {
				t.Fatalf("error %v, want %s", err, c.want)
			}
		})
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	f := open(t)
	for range 2 {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Probe(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("writing: %v", err)
	}
	if _, err := f.Deliveries(context.Background(), 1, ""); !errors.Is(err, ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	if _, err := f.Claim(context.Background(), "web", api.ClaimRequest{}, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("claiming: %v", err)
	}
}

func TestClockIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.db")
	f := openAt(t, path)
	for range 5 {
		if err := f.Tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if again := openAt(t, path); again.clock.Load() != 5 {
		t.Fatalf("clock %d, want 5", again.clock.Load())
	}
}
