package admin

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/run"
)

func (f *fixture) backup() (folder string, b Backup) {
	f.Helper()
	folder = filepath.Join(f.TempDir(), "backup")
	b, err := MakeBackup(f.Context(), f.state, folder)
	if err != nil {
		f.Fatal(err)
	}
	return folder, b
}

func restore(t *testing.T, folder string, asItWas bool) *fixture {
	t.Helper()
	state := filepath.Join(t.TempDir(), "admin")
	before, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreBackup(t.Context(), folder, state, asItWas); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(folder); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("files came or went in the backup's folder, which may be read-only: %v", err)
	}
	return startIn(t, state)
}

func TestBackupOfARunningAdmin(t *testing.T) {
	f := start(t)
	l := f.listener("web", func(r *api.Registration) { r.Settings.Concurrency = 2 })
	done := l.ran("d1", "out\n")
	running := l.f.push("d2", "main").Runs[0].ID
	c := l.mustClaim()
	if _, err := f.client.AppendLog(t.Context(), refOf(c), 0, []byte("so far")); err != nil {
		t.Fatal(err)
	}
	l.reg.Settings.Concurrency = 1
	l.reg.Revision = 2
	l.register()
	queued := f.push("d3", "main").Runs[0].ID
	kept := artifact("app.tar.gz", "an artifact")
	if _, err := f.client.AppendArtifact(t.Context(), refOf(c), kept, 0, []byte("an artifact")); err != nil {
		t.Fatal(err)
	}
	folder, b := f.backup()
	if b.Logs != 2 || b.LogBytes != 10 {
		t.Errorf("backup %+v", b)
	}
	l.finish(c, run.Passed)

	again := restore(t, folder, false)
	why := "admin was restored from a backup of " + b.MadeAt.Format("2006-01-02T15:04:05Z07:00")
	again.wantRun(done.Run, run.Passed, "")
	if got := again.log(done.Run, api.LogQuery{}); got != "out\n" {
		t.Errorf("log %q", got)
	}
	again.wantTimes(done, 0, "0 +0ms 1")
	again.wantRun(running, run.Lost, why)
	if list, err := again.client.Artifacts(t.Context(), running); err != nil || len(list.Items) != 1 {
		t.Errorf("artifacts %+v, %v", list, err)
	}
	if _, body := again.get("/api/v1/runs/" + running + "/artifacts/app.tar.gz"); body != "an artifact" {
		t.Errorf("the artifact is %q", body)
	}
	again.wantRun(queued, run.Cancelled, why+": it may have run since")

	// The listener that ran it says what it really was.
	if _, err := again.client.AppendLog(t.Context(), refOf(c), 0, []byte("so far, so good")); err != nil {
		t.Fatal(err)
	}
	if _, err := again.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, LogBytes: 15}); err != nil {
		t.Fatal(err)
	}
	again.wantRun(running, run.Passed, "reported late")
	if receipt := again.push("d1", "main"); receipt.Status != api.Duplicate {
		t.Errorf("a delivery that it had: %+v", receipt)
	}

	moved := restore(t, folder, true)
	moved.wantRun(running, run.Running, "")
	moved.wantRun(queued, run.Queued, "")
}

// TestRestoreAsRoot: what root restores belongs to whom the folder that it is in does, so that admin can read it.
func TestRestoreAsRoot(t *testing.T) {
	f := start(t)
	f.listener("web").ran("d1", "out\n")
	beside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(beside, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "backup")
	if _, err := MakeBackup(t.Context(), f.state, folder, beside, beside+"-that-is-not-there"); err != nil {
		t.Fatal(err)
	}
	parent, uid := t.TempDir(), os.Getuid()
	if uid == 0 {
		if uid = 12345; os.Chown(parent, uid, uid) != nil {
			t.Fatal("root may not change an owner")
		}
	}
	if _, err := RestoreBackup(t.Context(), folder, filepath.Join(parent, "admin"), false); err != nil {
		t.Fatal(err)
	}
	var files []string
	err := filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && int(info.Sys().(*syscall.Stat_t).Uid) != uid {
			t.Errorf("%s belongs to %d", path, info.Sys().(*syscall.Stat_t).Uid)
		}
		files = append(files, d.Name())
		return err
	})
	if err != nil || !slices.Contains(files, "admin.db") || !slices.Contains(files, "secret") || slices.Contains(files, "secret.partial") {
		t.Errorf("%v: %v", files, err)
	}
}

// TestBackupUnderLoad: deliveries, logs and pruning go on meanwhile; what was accepted before is in it, and all of it
// is consistent.
func TestBackupUnderLoad(t *testing.T) {
	f := start(t, func(o *Options) { o.Keep = store.Retention{Logs: store.Limits{Count: 3}} })
	l := f.listener("web")
	for n := range 5 {
		l.ran(fmt.Sprintf("before-%d", n), "log\n")
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			l.ran(fmt.Sprintf("during-%d", n), "log\n")
			if _, err := f.client.Prune(t.Context(), false); err != nil {
				t.Error(err)
			}
		}
	})
	folder, _ := f.backup()
	stop()
	load.Wait()
	again := restore(t, folder, false)
	for n := range 5 {
		if _, err := again.client.Delivery(t.Context(), fmt.Sprintf("before-%d", n)); err != nil {
			t.Error(err)
		}
	}
	runs, err := again.client.Runs(t.Context(), api.RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs.Items {
		if r.Status == run.Passed && r.Attempts[0].LogPrunedAt == nil && again.log(r.ID, api.LogQuery{}) != "log\n" {
			t.Errorf("the log of run %s is not there", r.ID)
		}
	}
}

func TestBackupsThatAreRefused(t *testing.T) {
	f := start(t)
	f.listener("web").ran("d1", "out\n")
	folder, _ := f.backup()
	want := func(err error, part string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %s", err, part)
		}
	}
	_, err := MakeBackup(t.Context(), f.state, folder)
	want(err, "is there already")
	_, err = RestoreBackup(t.Context(), folder, f.state, false)
	want(err, "is not empty: move it away first")
	_, err = RestoreBackup(t.Context(), t.TempDir(), filepath.Join(t.TempDir(), "admin"), false)
	want(err, "is no whole backup")

	file := filepath.Join(folder, databaseFile)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := 4096; at < len(content); at += 4096 {
		copy(content[at:], make([]byte, 64)) // the heads of all pages but the first
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "admin")
	_, err = RestoreBackup(t.Context(), folder, state, false)
	want(err, "backup "+folder+": database ")
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("a damaged backup left a state folder: %v", err)
	}
}
