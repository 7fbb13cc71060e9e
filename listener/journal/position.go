package journal

// Position is how many bytes of output have been written so far, notices of our own among them. Offset turns it
// into an offset of the log.
func (l *Log) Position() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.position()
}

func (l *Log) position() int64 {
	if l.tail == nil {
		return l.headLen
	}
	return l.headLen + l.tail.total
}

// Offset is where in the log, as it can be read now, the byte stands that was written at a Position. For one that
// was left out, or that cannot be read before the log is closed, it is where the next that was kept stands.
func (l *Log) Offset(position int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if position <= l.headLen || !l.closed || l.tail == nil {
		return min(position, l.headLen)
	}
	kept := position - l.headLen - l.tail.dropped()
	if kept < 0 {
		return l.headLen
	}
	return l.headLen + int64(len(l.notice())) + kept
}
