package cli

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// cell is one value in a table. Its text is printed visible.
type cell struct {
	text   string
	colour string
}

// table prints rows in aligned columns, under a head, with two spaces between. Without rows it prints nothing.
type table struct {
	head []string
	rows [][]cell
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

func (t *table) print(w io.Writer, s style) error {
	if len(t.rows) == 0 {
		return nil
	}
	rows := t.rows
	if len(t.head) > 0 {
		head := make([]cell, len(t.head))
		for i, name := range t.head {
			head[i] = cell{name, bold}
		}
		rows = append([][]cell{head}, rows...)
	}
	var b strings.Builder
	widths := columnWidths(rows)
	for _, row := range rows {
		printRow(&b, row, widths, s)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// width is how many columns of a terminal the table takes.
func (t *table) width() int {
	head := make([]cell, len(t.head))
	for i, name := range t.head {
		head[i].text = name
	}
	sum := -2
	for _, width := range columnWidths(append([][]cell{head}, t.rows...)) {
		sum += width + 2
	}
	return sum
}

// drop leaves out the column that has this head.
func (t *table) drop(name string) {
	i := slices.Index(t.head, name)
	if i < 0 {
		return
	}
	t.head = slices.Delete(t.head, i, i+1)
	for n, row := range t.rows {
		t.rows[n] = slices.Delete(row, i, i+1)
	}
}

func columnWidths(rows [][]cell) []int {
	var widths []int
	for _, row := range rows {
		for i := range row {
			row[i].text = visible(row[i].text)
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	return widths
}

func printRow(b *strings.Builder, row []cell, widths []int, s style) {
	last := len(row) - 1
	for last > 0 && row[last].text == "" {
		last--
	}
	for i, c := range row[:last+1] {
		b.WriteString(s.paint(c.colour, c.text))
		if i < last {
			b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
		}
	}
	b.WriteByte('\n')
}

// printJSON prints a body of the API as the API gives it, indented.
func (p *program) printJSON(body any) error {
	encoder := json.NewEncoder(p.Stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(body)
}
