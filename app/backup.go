package app

import (
	"context"
	"path/filepath"

	"lightspeed/admin"
)

// BackupInfo says what is in a backup.
type BackupInfo = admin.Backup

// Backup copies the state of admin, which may be running, to a new folder, and with it the webhook secret that `up` made.
func Backup(ctx context.Context, state, to string) (BackupInfo, error) {
	b, err := admin.MakeBackup(ctx, filepath.Join(state, "admin"), to, filepath.Join(state, SecretFile))
	return b, stateError(err)
}

// Restore makes the state of admin out of a backup, and `up`'s webhook secret where there is none.
func Restore(ctx context.Context, folder, state string, asItWas bool) (BackupInfo, error) {
	b, err := admin.RestoreBackup(ctx, folder, filepath.Join(state, "admin"), asItWas)
	return b, stateError(err)
}
