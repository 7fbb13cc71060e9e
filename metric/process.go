package metric

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Go writes what Go's runtime knows of itself, under the names that other Go programs use.
func Go(_ context.Context, to *Scrape) error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	threads, _ := runtime.ThreadCreateProfile(nil)
	to.Family(Gauge, "go_info", "1, with Go's version as a label.")
	to.Sample("go_info", 1, "version", runtime.Version())
	for _, one := range []struct {
		kind       Kind
		name, help string
		value      float64
	}{
		{Gauge, "go_goroutines", "Goroutines that exist.", float64(runtime.NumGoroutine())},
		{Gauge, "go_threads", "Threads of the system that were made.", float64(threads)},
		{Gauge, "go_memstats_alloc_bytes", "Bytes of objects in the heap.", float64(m.Alloc)},
		{Total, "go_memstats_alloc_bytes_total", "Bytes of all objects that were ever made.", float64(m.TotalAlloc)},
		{Gauge, "go_memstats_heap_alloc_bytes", "Bytes of objects in the heap.", float64(m.HeapAlloc)},
		{Gauge, "go_memstats_heap_idle_bytes", "Bytes of the heap that hold no object.", float64(m.HeapIdle)},
		{Gauge, "go_memstats_heap_inuse_bytes", "Bytes of the heap's parts that hold objects.", float64(m.HeapInuse)},
		{Gauge, "go_memstats_heap_objects", "Objects in the heap.", float64(m.HeapObjects)},
		{Gauge, "go_memstats_heap_released_bytes", "Bytes of the heap that were given back to the system.", float64(m.HeapReleased)},
		{Gauge, "go_memstats_heap_sys_bytes", "Bytes of the heap that the system gave.", float64(m.HeapSys)},
		{Gauge, "go_memstats_stack_inuse_bytes", "Bytes of stacks.", float64(m.StackInuse)},
		{Gauge, "go_memstats_next_gc_bytes", "Bytes of objects at which garbage is next collected.", float64(m.NextGC)},
		{Gauge, "go_memstats_last_gc_time_seconds", "When garbage was last collected, in seconds since 1970.", float64(m.LastGC) / 1e9},
		{Gauge, "go_memstats_sys_bytes", "Bytes that the system gave for everything.", float64(m.Sys)},
	} {
		to.Family(one.kind, one.name, one.help)
		to.Sample(one.name, one.value)
	}
	to.Family(Summary, "go_gc_duration_seconds", "How long everything stood still for collecting garbage.")
	to.Sample("go_gc_duration_seconds_sum", float64(m.PauseTotalNs)/1e9)
	to.Sample("go_gc_duration_seconds_count", float64(m.NumGC))
	return nil
}

// started is when this process was, but for the few milliseconds before Go's own start.
var started = time.Now()

// Process writes what the system knows of this process. What it does not say is left out: macOS says nothing of memory.
func Process(_ context.Context, to *Scrape) error {
	one := func(kind Kind, name, help string, value float64) {
		to.Family(kind, name, help)
		to.Sample(name, value)
	}
	one(Gauge, "process_start_time_seconds", "When the process began, in seconds since 1970.", float64(started.UnixMilli())/1e3)
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		one(Total, "process_cpu_seconds_total", "Processor time, of the user and of the system.", float64(used.Utime.Nano()+used.Stime.Nano())/1e9)
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		one(Gauge, "process_max_fds", "How many files may be open.", float64(files.Cur))
	}
	if open, err := os.ReadDir("/dev/fd"); err == nil {
		one(Gauge, "process_open_fds", "Files that are open.", float64(len(open)-1)) // without the folder itself
	}
	if virtual, resident, ok := memory(); ok {
		one(Gauge, "process_virtual_memory_bytes", "Address space.", virtual)
		one(Gauge, "process_resident_memory_bytes", "Memory.", resident)
	}
	return nil
}

// memory reads Linux's /proc/self/statm (https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html).
func memory() (virtual, resident float64, ok bool) {
	text, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 2 {
		return 0, 0, false
	}
	pages, err := strconv.ParseFloat(string(fields[0]), 64)
	kept, errKept := strconv.ParseFloat(string(fields[1]), 64)
	size := float64(os.Getpagesize())
	return pages * size, kept * size, err == nil && errKept == nil
}
