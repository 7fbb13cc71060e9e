package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"lightspeed/admin"
)

// BackupInfo says what is in a backup.
type BackupInfo = admin.Backup

// Backup copies the state of admin, which may be running, to a new folder, and with it the webhook secret that `up` made.
func Backup(ctx context.Context, state, to string) (BackupInfo, error) {
	from := filepath.Join(state, "admin")
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return BackupInfo{}, Failf("say where it is with --state FOLDER", "there is no admin's state in %s", state)
	}
	b, err := admin.MakeBackup(ctx, from, to, filepath.Join(state, SecretFile))
	return b, stateError(err)
}

// Restore makes the state of admin out of a backup, and `up`'s webhook secret where there is none.
func Restore(ctx context.Context, folder, state string, asItWas bool) (BackupInfo, error) {
	b, err := admin.RestoreBackup(ctx, folder, filepath.Join(state, "admin"), asItWas)
	return b, stateError(err)
}
