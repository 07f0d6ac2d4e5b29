package store

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/shape-*.txt anew")

// The shape of the records belongs to the number of the schema: a program that
// does not know a field would drop it when it writes the record, so it must
// refuse a store that has it. Which shapes are out in the world, and which may
// still change, CHANGELOG knows.
func TestShape(t *testing.T) {
	var lines []string
	for _, k := range append(slices.Clone(allKinds), examples) {
		shaped := k.(interface {
			shape() (string, reflect.Type)
		})
		noun, record := shaped.shape()
		lines = append(lines, fields(noun, record)...)
		for _, s := range k.spaces() {
			lines = append(lines, fmt.Sprintf("%s: key space %s", noun, s))
		}
	}
	slices.Sort(lines)
	got := strings.Join(slices.Compact(lines), "\n") + "\n"
	path := filepath.Join("testdata", fmt.Sprintf("shape-%d.txt", schema()))
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	for _, line := range strings.Split(got, "\n") {
		if !strings.Contains(string(want), line+"\n") {
			t.Errorf("new: %s", line)
		}
	}
	for _, line := range strings.Split(string(want), "\n") {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("gone: %s", line)
		}
	}
	t.Errorf(`the records have another shape than in %s.
If a release has schema %d, add a migration (migrate.go), so that the released program refuses what it would damage.
Then, or if none has: go test ./store -run TestShape -update`, path, schema())
}

func (k kind[T]) shape() (string, reflect.Type) { return k.noun, reflect.TypeFor[T]() }

// fields lists the JSON fields below a type of this module.
func fields(at string, t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		at, t = at+"[]", t.Elem()
	}
	var out []string
	for f := range visible(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			out = append(out, fields(at, f.Type)...)
			continue
		case name == "":
			name = f.Name
		}
		out = append(out, fields(at+"."+name, f.Type)...)
	}
	if out == nil {
		out = []string{at + " " + t.String()}
	}
	return out
}

// visible are the fields of a struct that JSON writes one by one.
func visible(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		if t.Kind() != reflect.Struct || !strings.HasPrefix(t.PkgPath(), "cloister/") {
			return
		}
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
