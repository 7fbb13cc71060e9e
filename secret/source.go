package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// MaxFile is the largest file that a secret is read from, in bytes.
const MaxFile = 64 << 10

// FromFile reads one secret: the file's whole text without the line ends at its end, as "$(cat FILE)" in
// a shell. A file that is empty, or larger than MaxFile, is an error.
func FromFile(path string) (Value, error) {
	text, err := readFile(path)
	if err != nil {
		return Value{}, err
	}
	if text = strings.TrimRight(text, "\r\n"); text == "" {
		return Value{}, fmt.Errorf("secret file %s is empty", path)
	}
	return New(text), nil
}

// FileValues reads several secrets, one a line. Empty lines are passed over, and spaces belong to the
// secret. A file without any secret, or larger than MaxFile, is an error.
func FileValues(path string) ([]Value, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	values := lines(text)
	if len(values) == 0 {
		return nil, fmt.Errorf("secret file %s is empty", path)
	}
	return values, nil
}

// FileSuffix makes a variable's name into that of its twin, which holds the path of a file with the value.
const FileSuffix = "_FILE"

// Lookup reads the secrets of the setting name ("LIGHTSPEED_SECRET"): several stand one a line, in the
// variable itself or in the file that its twin (name + FileSuffix) names. get is os.LookupEnv or the like.
// A variable that is set but empty counts as not set. Neither set: no values, no error. Both: an error.
func Lookup(name string, get func(string) (string, bool)) ([]Value, error) {
	text, _ := get(name)
	path, _ := get(name + FileSuffix)
	switch {
	case text != "" && path != "":
		return nil, fmt.Errorf("%s and %s are both set: set one of them", name, name+FileSuffix)
	case path != "":
		values, err := FileValues(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name+FileSuffix, err)
		}
		return values, nil
	case text == "":
		return nil, nil
	}
	values := lines(text)
	if len(values) == 0 {
		return nil, fmt.Errorf("%s holds nothing but line ends", name)
	}
	return values, nil
}

// LookupOne is Lookup for a setting that has one value: several are an error, none is the zero Value.
func LookupOne(name string, get func(string) (string, bool)) (Value, error) {
	values, err := Lookup(name, get)
	if err != nil || len(values) == 0 {
		return Value{}, err
	}
	if len(values) > 1 {
		return Value{}, fmt.Errorf("%s or %s holds %d values: it takes one", name, name+FileSuffix, len(values))
	}
	return values[0], nil
}

func lines(text string) []Value {
	var values []Value
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			values = append(values, New(line))
		}
	}
	return values
}

// readFile names the path and the cause in its errors, and nothing of the text.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("secret file %s: %w", path, reason(err))
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return "", fmt.Errorf("secret file %s: %w", path, reason(err))
	}
	if len(text) > MaxFile {
		return "", fmt.Errorf("secret file %s is larger than %d KiB", path, MaxFile>>10)
	}
	return string(text), nil
}

// reason takes the operation and the path off: they are named already.
func reason(err error) error {
	var wrapped *os.PathError
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
