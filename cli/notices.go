package cli

import "lightspeed/run"

// noticeCell says why people were not told of a run, or not yet.
func noticeCell(n run.Notice) cell {
	words := "not told"
	if n.Status == run.ToldLate {
		words = "not told yet"
	}
	if why := text(n.Error); why != "" {
		words += ": " + why
	}
	if hint := text(n.Hint); hint != "" {
		words += " (" + hint + ")"
	}
	return cell{words, red}
}
