package store

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Text is one text of a record as it is kept, for a search through all of them.
type Text struct {
	// Place is the kind of the record, such as "job"; of an example its split.
	Place Place
	// ID names the record: its name or id, of an example "clinic@2 row 7".
	ID    string
	Field string // such as "messages[1].content"
	Text  string
}

// Place is a kind of records, or the split of an example.
type Place string

// secretSettings begin the names of settings that hold values on purpose: the
// lists of what is never masked and what always is.
const secretSettings = "masking/"

// Texts visits every text of every record, numbers included, except what holds
// raw values by its nature: the vault, sealed originals, the masker's own
// lists. An error ends it.
func (s *Store) Texts() iter.Seq2[Text, error] {
	return func(yield func(Text, error) bool) {
		stopped := false
		err := s.view(func(x tx) error {
			sets, err := setNames(x)
			if err != nil {
				return err
			}
			for _, sp := range textSpaces() {
				for e, err := range x.scan(span{prefix: sp.under()}) {
					if err != nil {
						return err
					}
					goOn, err := eachText(sp, e, sets, func(t Text) bool { return yield(t, nil) })
					if err != nil {
						return err
					}
					if !goOn {
						stopped = true
						return nil
					}
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(Text{}, err)
		}
	}
}

// textSpaces are the spaces of records: those that Check reads one by one, and
// examples and settings.
func textSpaces() []space {
	list := []space{exampleSpace, settingSpace}
	for _, k := range allKinds {
		list = append(list, k.spaces()[0])
	}
	return list
}

// setNames leads the sets of examples to "dataset@version".
func setNames(x tx) (map[string]string, error) {
	sets := map[string]string{}
	for v, err := range versions.all(x, span{prefix: versionSpace.under()}) {
		if err != nil {
			return nil, err
		}
		sets[v.Set] = fmt.Sprintf("%s@%d", v.Dataset, v.Number)
	}
	return sets, nil
}

// eachText visits the texts of one record until yield returns false.
func eachText(sp space, e entry, sets map[string]string, yield func(Text) bool) (bool, error) {
	name := string(e.key[len(sp):])
	t := Text{Place: Place(strings.TrimSuffix(string(sp), "/")), ID: readable(strings.Split(name, "\x00"))}
	switch sp {
	case settingSpace:
		if strings.HasPrefix(name, secretSettings) {
			return true, nil
		}
	case exampleSpace:
		ex, err := examples.decode(e.value)
		if err != nil {
			return false, err
		}
		set, _, _ := strings.Cut(name, "\x00")
		if sets[set] == "" { // being written
			return true, nil
		}
		t.Place, t.ID = Place(ex.Split), fmt.Sprintf("%s row %d", sets[set], ex.Row)
	}
	d := json.NewDecoder(strings.NewReader(string(e.value)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return false, fmt.Errorf("%s %q does not read: %w", t.Place, t.ID, ErrCorrupt)
	}
	return texts(v, t, yield), nil
}

// texts visits the strings and numbers of a JSON value.
func texts(v any, t Text, yield func(Text) bool) bool {
	switch v := v.(type) {
	case string:
		t.Text = v
		return yield(t)
	case json.Number:
		t.Text = v.String()
		return yield(t)
	case []any:
		field := t.Field
		for i, e := range v {
			t.Field = field + "[" + strconv.Itoa(i) + "]"
			if !texts(e, t, yield) {
				return false
			}
		}
	case map[string]any:
		field := t.Field
		for _, name := range slices.Sorted(maps.Keys(v)) {
			t.Field, t.Text = strings.TrimPrefix(field+"."+name, "."), name
			if !yield(t) || !texts(v[name], t, yield) {
				return false
			}
		}
	}
	return true
}
