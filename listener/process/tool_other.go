//go:build unix && !linux

package process

import "syscall"

// endWithUs does nothing: this system does not end a process with its parent.
func endWithUs(*syscall.SysProcAttr) {}
