package logtime

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Header carries, with a piece of a log, what is known of when it came: Format's text. Who does not know it takes
// the piece without.
const Header = "Lightspeed-Log-Times"

// MaxTogether is how many records go with one piece of a log: their text stays under MaxText, which every proxy
// lets through.
const (
	MaxTogether = 128
	MaxText     = 4 << 10 // bytes
)

// Format writes records as text: "offset.milliseconds.step" of each, apart by spaces; all but the first count from the one
// before, but for the step.
func Format(records []Record) string {
	var b strings.Builder
	var offset, milli int64
	for i, r := range records {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d.%d.%d", r.Offset-offset, r.At.UnixMilli()-milli, r.Step)
		offset, milli = r.Offset, r.At.UnixMilli()
	}
	return b.String()
}

// maxMilli and maxStep bound what a record may say: a time in the year 2248, and a number that no config reaches.
const (
	maxMilli = 1<<43 - 1
	maxStep  = 1 << 20
)

// Parse reads what Format wrote of a piece of a log that begins at from and ends at to.
func Parse(text string, from, to int64) ([]Record, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("%d bytes, the most is %d", len(text), MaxText)
	}
	fields := strings.Fields(text)
	if len(fields) > MaxTogether {
		return nil, fmt.Errorf("%d records, the most is %d", len(fields), MaxTogether)
	}
	var list []Record
	var offset, milli int64
	for i, field := range fields {
		n, err := numbers(field)
		if err != nil {
			return nil, err
		}
		before := offset
		offset, milli = offset+n[0], milli+n[1]
		switch {
		case offset < from, offset >= to, i > 0 && offset <= before:
			return nil, fmt.Errorf("record %d is of offset %d, in a piece from %d to %d", i+1, offset, from, to)
		case milli <= 0, milli > maxMilli:
			return nil, fmt.Errorf("record %d is of a time that is none: %d ms", i+1, milli)
		case n[2] < 0, n[2] > maxStep:
			return nil, fmt.Errorf("record %d is of step %d", i+1, n[2])
		}
		list = append(list, Record{offset, time.UnixMilli(milli).UTC(), int(n[2])})
	}
	return list, nil
}

// numbers reads the three numbers of one record.
func numbers(field string) (n [3]int64, err error) {
	parts := strings.Split(field, ".")
	if len(parts) != len(n) {
		return n, fmt.Errorf("%.40q is not offset.milliseconds.step", field)
	}
	for i := range n {
		if n[i], err = strconv.ParseInt(parts[i], 10, 56); err != nil {
			return n, fmt.Errorf("%.40q is not offset.milliseconds.step", field)
		}
	}
	return n, nil
}
