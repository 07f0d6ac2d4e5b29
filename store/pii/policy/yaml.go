package policy

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// node is a value with its place in the file.
type node struct {
	line int
	kind nodeKind
	text string   // of a scalar
	keys []string // of a mapping, as long as list
	at   []int    // lines of keys
	list []*node  // of a list, or the values of a mapping
}

type nodeKind int

const (
	null nodeKind = iota
	scalar
	quoted // a scalar that is text whatever it looks like
	sequence
	mapping
)

// maxDepth bounds how deep values stand in each other.
const maxDepth = 16

// parseYAML returns the one document of a file.
func parseYAML(name string, data []byte) (*node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case err == io.EOF || err == nil && doc.IsZero():
		return &node{line: 1}, nil
	case err != nil:
		return nil, syntaxError(name, err)
	}
	c := converter{file: name}
	root, err := c.node(doc.Content[0], 0)
	if err != nil {
		return nil, err
	}
	if err := dec.Decode(&more); err == nil {
		return nil, c.fail(&more, "the file holds several documents")
	} else if err != io.EOF {
		return nil, syntaxError(name, err)
	}
	return root, nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntaxError is the library's error with the file's name. The one message
// with a text of the file, that of an alias without its anchor, is left out.
func syntaxError(name string, err error) error {
	e := &Error{File: name, Line: 1, Message: "the file is no YAML"}
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			e.Line = n
		}
		if !strings.Contains(m[2], "anchor") {
			e.Message += ": " + m[2]
		}
	}
	return e
}

// converter turns the library's nodes into ours, and refuses what a policy does not need.
type converter struct{ file string }

func (c converter) fail(n *yaml.Node, message string) error {
	return &Error{File: c.file, Line: max(n.Line, 1), Message: message}
}

func (c converter) node(n *yaml.Node, depth int) (*node, error) {
	out := &node{line: n.Line}
	if depth > maxDepth {
		return nil, c.fail(n, "values stand more than "+strconv.Itoa(maxDepth)+" levels deep in each other")
	}
	if n.Anchor != "" || n.Kind == yaml.AliasNode || n.Style&yaml.TaggedStyle != 0 {
		return nil, c.fail(n, "anchors (&), aliases (*) and tags (!) are not read; put text that begins so in quotes")
	}
	content := n.Content
	switch n.Kind {
	case yaml.ScalarNode:
		out.text = n.Value
		switch {
		case n.Style&^yaml.FlowStyle != 0:
			out.kind = quoted
		case n.ShortTag() != "!!null":
			out.kind = scalar
		}
		return out, nil
	case yaml.SequenceNode:
		out.kind = sequence
	case yaml.MappingNode:
		out.kind = mapping
		content = nil
		for i := 0; i < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode {
				return nil, c.fail(k, "expected a name and a colon with a blank behind it")
			}
			for j, key := range out.keys {
				if key == k.Value {
					return nil, c.fail(k, "the name stands in line "+strconv.Itoa(out.at[j])+" already")
				}
			}
			out.keys, out.at = append(out.keys, k.Value), append(out.at, k.Line)
			content = append(content, n.Content[i+1])
		}
	default:
		return nil, errors.New("unknown kind of YAML node")
	}
	for _, v := range content {
		value, err := c.node(v, depth+1)
		if err != nil {
			return nil, err
		}
		out.list = append(out.list, value)
	}
	return out, nil
}

// control says whether r is no character to be seen in a file.
func control(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'
}
