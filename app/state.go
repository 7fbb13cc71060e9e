package app

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// StateFolder decides where a process keeps its state: the folder given, else $STATE_DIRECTORY (set by
// systemd's StateDirectory=, where several stand apart by colons: the first counts), else
// $XDG_STATE_HOME/lightspeed, else ~/.local/state/lightspeed. The folder need not exist.
func StateFolder(given string, getenv func(string) string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	if first, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); first != "" {
		return filepath.Abs(first)
	}
	if base := getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "lightspeed"), nil
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "lightspeed"), nil
	}
	return "", Usagef("set it with --state FOLDER", "no state folder: neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set")
}

// listenerState is the folder of one listener within a state folder. The slash of an owner/repo name is
// escaped, so that every listener's folder stands directly in listener/.
func listenerState(state, name string) string {
	return filepath.Join(state, "listener", strings.ReplaceAll(name, "/", "%2F"))
}

// mirrors is the folder of repositories within a state folder. All listeners share it.
func mirrors(state string) string { return filepath.Join(state, "mirrors") }

// stateError makes errors about a state folder name it, and adds what to do. Others pass.
func stateError(err error) error {
	for _, cause := range []error{fs.ErrPermission, fs.ErrNotExist, syscall.EROFS, syscall.ENOTDIR} {
		if !errors.Is(err, cause) {
			continue
		}
		if !strings.HasPrefix(err.Error(), "state folder") {
			err = fmt.Errorf("state folder: %w", err)
		}
		return Failf("choose a folder that can be written with --state FOLDER", "%w", err)
	}
	return err
}
