package web

import (
	"slices"
	"strconv"
	"strings"
)

// The page has sixteen colours, each readable in both of its schemes. What a program picks of 256 or of 16 million
// was picked for its author's background, and the page's policy allows no style beside its sheet: such a colour
// becomes the one of the sixteen that people would call by the same name.

// sixteen rewrites the parameters of a colour sequence (CSI … m) to ones of the sixteen colours, also where they are
// parted by colons as ITU T.416 has it. ok is false where nothing is left of them.
func sixteen(parameters string) (simple string, ok bool) {
	in := strings.Split(parameters, ";")
	var out []string
	for i := 0; i < len(in); i++ {
		parts, size := strings.Split(in[i], ":"), 0
		if len(parts) == 1 {
			parts, size = extended(in[i:])
		}
		i += size
		switch kind := parts[0]; {
		case kind == "38":
			out = withCode(out, codeOf(parts[1:]))
		case kind == "48":
			out = withCode(out, codeOf(parts[1:])+backdrop)
		case kind == "58": // the colour of the line below, which the page does not show
		case kind == "4" && len(parts) == 2 && parts[1] == "0":
			out = append(out, "24")
		default:
			out = append(out, kind)
		}
	}
	return strings.Join(out, ";"), len(out) > 0
}

// backdrop is what the code of a colour of the background has more than that of the text.
const backdrop = 10

// withCode adds a code, unless there is none.
func withCode(out []string, code int) []string {
	if code <= backdrop {
		return out
	}
	return append(out, strconv.Itoa(code))
}

// extended returns a parameter with those that belong to it, and how many these are.
func extended(in []string) (parts []string, size int) {
	if !slices.Contains([]string{"38", "48", "58"}, in[0]) {
		return in[:1], 0
	}
	size = len(in) - 1 // one that is cut short has no end
	if size > 0 && in[1] == "5" {
		size = min(size, 2)
	} else if size > 0 && in[1] == "2" {
		size = min(size, 4)
	}
	return in[:1+size], size
}

// codeOf is the code of a text colour that is given as 5;N or 2;R;G;B, the latter perhaps with a colour space before
// R; 0 when it is neither.
func codeOf(parts []string) int {
	var n []int
	for _, one := range parts {
		v, err := strconv.ParseUint(one, 10, 8)
		if err != nil && one != "" {
			return 0
		}
		n = append(n, int(v))
	}
	switch {
	case len(n) == 2 && n[0] == 5:
		return paletteCode(n[1])
	case len(n) >= 4 && n[0] == 2:
		rgb := n[1:4]
		if len(n) > 4 {
			rgb = n[2:5]
		}
		return nameCode(rgb[0], rgb[1], rgb[2])
	}
	return 0
}

// paletteCode is the code of one of xterm's 256 colours: the sixteen, a cube of 6 × 6 × 6, and 24 greys.
func paletteCode(n int) int {
	level := func(i int) int {
		if i == 0 {
			return 0
		}
		return 55 + 40*i
	}
	switch {
	case n < 8:
		return 30 + n
	case n < 16:
		return 90 + n - 8
	case n < 232:
		n -= 16
		return nameCode(level(n/36), level(n/6%6), level(n%6))
	}
	grey := 8 + 10*(n-232)
	return nameCode(grey, grey, grey)
}

// nameCode is the code of the colour by whose name people would call this one: by its hue, or of a grey by how light
// it is.
func nameCode(r, g, b int) int {
	most, least := max(r, g, b), min(r, g, b)
	if chroma := most - least; chroma < 24 || chroma*5 < most {
		switch {
		case most < 64:
			return 30
		case most < 168:
			return 90
		}
		return 37
	}
	hue := hueOf(r, g, b)
	for _, name := range []struct{ upTo, code int }{{18, 31}, {72, 33}, {165, 32}, {195, 36}, {258, 34}, {335, 35}} {
		if hue < name.upTo {
			return name.code
		}
	}
	return 31
}

// hueOf is the hue of a colour that is no grey, in degrees.
func hueOf(r, g, b int) int {
	most := max(r, g, b)
	chroma := most - min(r, g, b)
	switch most {
	case r:
		return (60*(g-b)/chroma + 360) % 360
	case g:
		return 60*(b-r)/chroma + 120
	}
	return 60*(r-g)/chroma + 240
}
