package policy

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// same compares what our parser read with what go.yaml.in/yaml did.
func same(t *testing.T, src string, ours *node, theirs *yaml.Node) {
	t.Helper()
	for theirs.Kind == yaml.DocumentNode {
		if len(theirs.Content) == 0 {
			theirs = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
			break
		}
		theirs = theirs.Content[0]
	}
	bad := func(what string) {
		t.Fatalf("%s, in line %d: ours %+v, theirs %+v, of\n%s", what, ours.line, ours, theirs, src)
	}
	switch ours.kind {
	case null:
		if theirs.Kind != 0 && (theirs.Kind != yaml.ScalarNode || theirs.Tag != "!!null") {
			bad("null")
		}
	case scalar, quoted:
		if theirs.Kind != yaml.ScalarNode || theirs.Tag == "!!null" || theirs.Value != ours.text {
			bad("scalar")
		}
		if theirs.Line != ours.line {
			bad("line")
		}
	case sequence:
		if theirs.Kind != yaml.SequenceNode || len(theirs.Content) != len(ours.list) {
			bad("list")
		}
		for i, n := range ours.list {
			same(t, src, n, theirs.Content[i])
		}
	case mapping:
		if theirs.Kind != yaml.MappingNode || len(theirs.Content) != 2*len(ours.list) {
			bad("mapping")
		}
		for i, n := range ours.list {
			if theirs.Content[2*i].Value != ours.keys[i] || theirs.Content[2*i].Line != ours.at[i] {
				bad("key")
			}
			same(t, src, n, theirs.Content[2*i+1])
		}
	}
}

var yamlSeeds = []string{
	Default,
	"", "# nothing\n", "---\na: 1\n", "a: b # c\nd: 'e''f' \n", `{"a": [1, "x\u00e9\n", null], "b": {}}`,
	"a:\n- b\n- c: d\n  e: f\n-\n  - g\nh:\n  i: [1, 2,\n   3]\n", "a: {b: c, d: [e, f]}\n", "- - a\n  - b\n-   c: d\n    e: f\n",
	"a: \"b\\tc\" # d\r\ne: f\r\n", "a: x#y\nb: http://e.example:80/\n", "a:b: c\n", "'a b' : c\n", "a: -1\nb: -x\nc: ?y\nd: :z\n", "[]", "{}", "a: ~\nb:\nc: null\n",
	"a: [b,\n# c\n d]\n", "a:\n    b: c\n    d:\n    - e\n", "\"a\": 'b'\n",
}

// What our parser reads is YAML, and means the same to the usual library.
func TestYAMLSubset(t *testing.T) {
	for _, src := range yamlSeeds {
		ours, err := parseYAML("f", src)
		if err != nil {
			t.Fatalf("%v, of\n%s", err, src)
		}
		var theirs yaml.Node
		if err := yaml.Unmarshal([]byte(src), &theirs); err != nil {
			t.Fatalf("the library refuses it: %v, of\n%s", err, src)
		}
		same(t, src, ours, &theirs)
	}
}

func FuzzYAML(f *testing.F) {
	for _, s := range yamlSeeds {
		f.Add(s)
	}
	for s := range yamlRefused {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		ours, err := parseYAML("f", src)
		if err != nil {
			return
		}
		var theirs yaml.Node
		if err := yaml.Unmarshal([]byte(src), &theirs); err != nil {
			t.Fatalf("the library refuses it: %v, of\n%q", err, src)
		}
		same(t, src, ours, &theirs)
	})
}

// yamlRefused is what our parser does not read, and why.
var yamlRefused = map[string]string{
	"a: &x b":               "f:1: a value begins with '&'",
	"a: *x":                 "begins with '*'",
	"a: !!str b":            "begins with '!'",
	"a: |\n  b":             "begins with '|'",
	"a: b\n---\nc: d":       "f:2: the file holds several documents",
	"a: b\na: c":            "f:2: the name stands in line 1 already",
	"a:\n\tb: c":            "f:2: the line holds a tab",
	"a: b: c":               "a value holds a colon and a blank",
	"a: b\n  c":             "f:2: this line is indented more",
	"  a: b\nc: d":          "f:2: this line is indented less",
	"a: 'b":                 "a quotation mark is not closed",
	`a: "\q"`:               "a backslash",
	"a: [b":                 "the file ends inside of brackets",
	"a: [b c: d":            "a value holds a colon",
	"a: [b}":                "expected a comma or ']'",
	"a: {b}":                "expected a colon and a blank",
	"{0:{}}":                "expected a colon and a blank",
	"a: [,]":                "expected a value before ','",
	"a: {b: }":              "expected a value",
	"a: 'b' c":              "a value ends before the end of its line",
	"a\nb: c":               "f:2: this line",
	"a: b\nc":               "f:2: expected a name and a colon",
	"a: \xff":               "not UTF-8",
	"a: b\n\x00":            "f:2: the file holds a control character (U+0000)",
	strings.Repeat("[", 40): "levels deep",
	": a":                   "expected a name",
}

func TestYAMLRefused(t *testing.T) {
	for src, want := range yamlRefused {
		if _, err := parseYAML("f", src); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", src, err, want)
		}
	}
}
