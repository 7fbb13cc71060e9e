package app

import (
	"errors"
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

// stateError adds advice to errors about a state folder.
func stateError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return Failf("choose a folder that can be written with --state FOLDER", "%w", err)
	}
	return err
}
