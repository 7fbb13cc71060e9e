package config

import (
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/tailscale/hujson"
)

// othersRead is the permission of users who are neither the owner nor of the group.
const othersRead = 0o004

// Loader loads configs. The zero value has the documented defaults.
type Loader struct {
	DeletesByDefault bool // the default of `deletes`
}

// Load loads config files with the documented defaults; see Loader.Load.
func Load(paths ...string) ([]Config, []Warning, error) { return Loader{}.Load(paths...) }

// Load reads config files, each one listener or a list of them, in the order given. Of a file that is valid
// JSON it reports all mistakes; the error is then a Mistakes. Warnings come with and without an error.
func (l Loader) Load(paths ...string) ([]Config, []Warning, error) {
	if len(paths) == 0 {
		return nil, nil, errors.New("no config file given")
	}
	var (
		configs  []Config
		warnings []Warning
		mistakes Mistakes
		names    = map[string]Position{}
	)
	for _, path := range paths {
		d, listeners := l.loadFile(path)
		for _, one := range listeners {
			one.checkUnique(names)
			configs = append(configs, one.cfg)
		}
		slices.SortStableFunc(d.mistakes, func(a, b Mistake) int { return a.compare(b.Position) })
		slices.SortStableFunc(d.warnings, func(a, b Warning) int { return a.compare(b.Position) })
		warnings = append(warnings, d.warnings...)
		mistakes = append(mistakes, d.mistakes...)
	}
	if len(mistakes) > 0 {
		return nil, warnings, mistakes
	}
	return configs, warnings, nil
}

// defaults is a config without any key.
func (l Loader) defaults(file string) Config {
	c := Config{
		File: file, Cwd: folder(file),
		Timeout: DefaultTimeout, Grace: DefaultGrace, Concurrency: DefaultConcurrency,
		WhenBusy: Queue, OnLost: Fail, MaxWait: DefaultMaxWait, MaxLog: DefaultMaxLog, NotifyOn: Always,
	}
	c.Rules.Deletes = l.DeletesByDefault
	return c
}

// folder is the absolute folder that a file stands in.
func folder(file string) string {
	path, err := filepath.Abs(file)
	if err != nil {
		path = file // the working folder is gone; CheckCwd says so
	}
	return filepath.Dir(path)
}

func (l Loader) loadFile(path string) (*decoder, []*listener) {
	src, readable, err := readFile(path)
	if err != nil {
		d := &decoder{document: newDocument(path, nil)}
		d.mistakes = []Mistake{{Position: Position{File: path}, Message: err.Error()}}
		return d, nil
	}
	return l.decode(path, src, readable)
}

// readFile reads a config's text, and says whether every user of the machine can.
func readFile(path string) (src []byte, readable bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, reason(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, reason(err)
	}
	if info.IsDir() {
		return nil, false, errors.New("is a folder, not a file")
	}
	src, err = io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, false, reason(err)
	}
	if len(src) > MaxFile {
		return nil, false, errors.New("larger than 1 MiB, the most that a config may have")
	}
	return src, info.Mode().Perm()&othersRead != 0, nil
}

// reason takes the path off, for the position names it.
func reason(err error) error {
	var wrapped *os.PathError
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// decode reads one file's text.
func (l Loader) decode(path string, src []byte, readable bool) (*decoder, []*listener) {
	d := &decoder{document: newDocument(path, src), loader: l, worldReadable: readable}
	tree, wrong := d.parse()
	if wrong != nil {
		d.mistakes = []Mistake{*wrong}
		return d, nil
	}
	values := []hujson.Value{tree}
	if array, ok := tree.Value.(*hujson.Array); ok {
		values = array.Elements
		if len(values) == 0 {
			d.wrong(tree.StartOffset, "", "empty list: no listener in this file")
		}
	}
	var listeners []*listener
	for _, value := range values {
		listeners = append(listeners, d.readListener(value))
	}
	return d, listeners
}

// checkUnique notes a name that another listener has: it is also the name of a queue and a folder.
func (l *listener) checkUnique(names map[string]Position) {
	name := l.cfg.Rules.Name
	if name == "" {
		return
	}
	if first, taken := names[name]; taken {
		l.wrong(l.given["name"], "", "name: %q is taken: %s", name, first)
		return
	}
	names[name] = l.at(l.given["name"])
}

// compare puts positions of one file in order; the whole file comes last.
func (p Position) compare(q Position) int {
	if (p.Line == 0) != (q.Line == 0) {
		return cmp.Compare(q.Line, p.Line)
	}
	return cmp.Or(cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}
