package process

import "syscall"

// endWithUs has a process killed when the thread that starts it ends: with this process, that is.
func endWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
