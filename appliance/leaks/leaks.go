// Package leaks searches for values of the token vault where they must not
// be: in the stored texts, in the bytes of every file of the data directory,
// and in answers of models.
//
// A Search holds hashes of the vault's values, and is good for the state of the
// vault when it was started. It is safe for concurrent use. Findings say where
// a value stands and under which token it is kept, and never the value.
package leaks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"cloister/appliance/fault"
	"cloister/appliance/masking"
	"cloister/lora/eval"
	"cloister/store"
	"cloister/store/leak"
	"cloister/store/pii"
)

// Service starts searches.
type Service struct {
	st   *store.Store
	mask *masking.Service
	home string // data directory
}

// New returns a Service.
func New(st *store.Store, mask *masking.Service, home string) *Service {
	return &Service{st: st, mask: mask, home: home}
}

// Search looks for the values of the vault.
type Search struct {
	*Service
	matcher *leak.Matcher
	data    map[string]bool // tokens that stand in datasets
}

// Start reads the vault.
func (s *Service) Start(ctx context.Context) (*Search, error) {
	texts, patterns := s.mask.Harmless()
	x := &Search{Service: s, matcher: leak.New(texts), data: map[string]bool{}}
	err := s.mask.Values(func(token, entity, value string) error {
		switch {
		case slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(value) }), token == value:
			return ctx.Err() // allowed, or nobody's, such as 010-0000-0001: its own surrogate
		case !strings.HasPrefix(token, "<"):
			x.data[entity] = true // which surrogates stand in datasets is not looked up
			token = entity
		}
		x.matcher.Add(token, entity, value)
		return ctx.Err()
	})
	return x, err
}

// Everywhere searches all stored texts and all files, and notes what it finds.
// A thorough search asks the masker for evidence of weak values in the stored
// texts and looks into base models too. more are files and folders outside of
// the data directory, such as logs.
func (x *Search) Everywhere(ctx context.Context, thorough bool, more []string, to *eval.Leak) error {
	c := x.matcher.Counts()
	to.Thorough, to.Values, to.Weak, to.Allowed = thorough, c.Strict, c.Weak, c.Allowed
	n := notes{matcher: x.matcher, to: to, places: map[string]*eval.LeakPlace{}}
	if err := x.records(ctx, thorough, &n); err != nil {
		return err
	}
	if err := x.files(ctx, thorough, more, &n); err != nil {
		return err
	}
	n.finish()
	return nil
}

// notes gathers what is found.
type notes struct {
	matcher *leak.Matcher
	to      *eval.Leak
	places  map[string]*eval.LeakPlace
}

// safe is the name of a record or file, unless that holds a value itself.
func (n *notes) safe(where string) string {
	n.matcher.Text(where, func(h leak.Hit) { where = "a name that holds " + h.Token })
	return where
}

// place counts a text or file that is searched.
func (n *notes) place(name string, bytes int64) *eval.LeakPlace {
	p := n.places[name]
	if p == nil {
		p = &eval.LeakPlace{Place: name}
		n.places[name] = p
	}
	p.Searched++
	p.Bytes += bytes
	return p
}

// hit notes a value that was found.
func (n *notes) hit(p *eval.LeakPlace, where string, h leak.Hit) {
	p.Add(h.Entity)
	where = n.safe(where)
	if h.Encoding != "" {
		where += " (" + h.Encoding + ")"
	}
	if len(n.to.Found) < eval.MaxLeakHits {
		n.to.Found = append(n.to.Found, eval.LeakHit{Place: p.Place, Where: where, Offset: h.Offset, Entity: h.Entity, Token: h.Token})
	}
}

// finish orders the places: texts of datasets first, then other records, then files.
func (n *notes) finish() {
	rank := func(p eval.LeakPlace) int {
		if i := slices.Index([]string{"train", "valid", "test"}, p.Place); i >= 0 {
			return i
		}
		if strings.HasPrefix(p.Place, filesPlace) {
			return 4
		}
		return 3
	}
	for _, p := range n.places {
		n.to.Places = append(n.to.Places, *p)
	}
	slices.SortFunc(n.to.Places, func(a, b eval.LeakPlace) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Place, b.Place)
	})
}

// records searches the texts of all records.
func (x *Search) records(ctx context.Context, thorough bool, n *notes) error {
	for t, err := range x.st.Texts() {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		p := n.place(string(t.Place), int64(len(t.Text)))
		where := strings.TrimSpace(t.ID + " " + t.Field)
		x.matcher.Text(t.Text, func(h leak.Hit) { n.hit(p, where, h) })
		if thorough {
			x.evident(t.Text, func(h leak.Hit) { n.hit(p, where, h) })
		}
		if t.Place == "train" || t.Place == "valid" || t.Place == "test" {
			for _, token := range pii.MaskTokens(t.Text) {
				x.data[token] = true
			}
		}
	}
	return nil
}

// evident calls found for values that may stand by chance, where the masker
// finds personal data.
func (x *Search) evident(text string, found func(leak.Hit)) {
	for _, f := range x.mask.Find(text) {
		if token, entity, ok := x.matcher.Weak(text[f.Start:f.End]); ok {
			found(leak.Hit{Token: token, Entity: entity, Offset: int64(f.Start)})
		}
	}
}

// Answer counts the values of datasets in an answer of a model. Values that came
// into the vault in another way, such as a name in an earlier answer, do not
// count: the model has learnt them from nobody's record. Everywhere must have run.
func (x *Search) Answer(text string, found func(token, entity string, offset int64)) {
	hit := func(h leak.Hit) {
		if x.data[h.Token] {
			found(h.Token, h.Entity, h.Offset)
		}
	}
	x.matcher.Text(text, hit)
	x.evident(text, hit)
}

// filesPlace begins the names of places that are files.
const filesPlace = "files"

// files searches the bytes and the names of all files.
func (x *Search) files(ctx context.Context, thorough bool, more []string, n *notes) error {
	bases, err := x.st.BaseModels()
	if err != nil {
		return err
	}
	foreign := map[string]bool{}
	for _, b := range bases {
		foreign[b.Path] = true // below the data directory it is relative to that
	}
	err = x.walk(ctx, x.home, n, func(rel string) (place string, outside, skip bool) {
		place = filesPlace
		if first, _, below := strings.Cut(filepath.ToSlash(rel), "/"); below {
			place += "/" + first
		}
		if foreign[rel] || foreign[filepath.Join(x.home, rel)] {
			return place + " (base models)", true, !thorough
		}
		return place, false, false
	})
	for _, path := range more {
		if _, missing := os.Stat(path); missing != nil {
			err = errors.Join(err, fault.New(fault.Invalid, "", "search", "There is nothing to search at %s.", path).Wrap(missing))
			continue
		}
		err = errors.Join(err, x.walk(ctx, path, n, func(string) (string, bool, bool) { return filesPlace + " " + path, false, false }))
	}
	return err
}

// walk searches the regular files below a folder. Those that go away meanwhile
// are passed over: the database merges its tables at any time.
func (x *Search) walk(ctx context.Context, root string, n *notes, place func(rel string) (name string, outside, skip bool)) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != root:
			return nil
		case errors.Join(err, ctx.Err()) != nil:
			return errors.Join(err, ctx.Err())
		case !d.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name, outside, skip := place(rel)
		if skip {
			return nil
		}
		p := n.place(name, 0)
		p.Foreign = outside
		x.matcher.Text(filepath.ToSlash(rel), func(h leak.Hit) { n.hit(p, rel, h) })
		if err := x.file(ctx, path, p, n, rel); err != nil && !errors.Is(err, fs.ErrNotExist) {
			if e, ok := errors.AsType[*fs.PathError](err); ok {
				err = e.Err // the path may hold a value
			}
			return fmt.Errorf("the leak test cannot read a file of %s: %w", name, err)
		}
		return nil
	})
}

// file searches one.
func (x *Search) file(ctx context.Context, path string, p *eval.LeakPlace, n *notes, rel string) error {
	if x.matcher.Counts().Strict == 0 {
		return nil // there is nothing to look for
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	read, err := x.matcher.Reader(until{ctx, f}, func(h leak.Hit) { n.hit(p, rel, h) })
	p.Bytes += read
	return err
}

// until reads a file until a context ends.
type until struct {
	ctx context.Context
	f   *os.File
}

func (u until) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.f.Read(b)
}
