package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cloister/store/pii"
)

// decoder turns nodes into a Policy.
type decoder struct {
	file string
	read func(path string) ([]byte, error)
}

// field is a value of a mapping, with where it stands.
type field struct {
	*node
	path string
	line int // of its name
}

func (d *decoder) fail(f field, format string, args ...any) error {
	line := f.line
	if f.node != nil && f.node.line > 0 && f.node.kind != null {
		line = f.node.line
	}
	return &Error{File: d.file, Line: line, Field: f.path, Message: fmt.Sprintf(format, args...)}
}

// object calls set for each field of a mapping, whose names must be among known.
func (d *decoder) object(f field, known []string, set func(name string, f field) error) error {
	if f.kind == null && f.path != "" {
		return nil
	}
	if f.kind != mapping && len(known) == 0 {
		return d.fail(f, "expected names with their values, such as PERSON: token")
	}
	if f.kind != mapping {
		return d.fail(f, "expected fields: %s", strings.Join(known, ", "))
	}
	for i, k := range f.keys {
		at := field{f.list[i], join(f.path, k), f.at[i]}
		if len(known) > 0 && !slices.Contains(known, k) {
			return d.fail(field{nil, f.path, f.at[i]}, "unknown field %q: the known ones are %s", k, strings.Join(known, ", "))
		}
		if err := set(k, at); err != nil {
			return err
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *decoder) policy(root *node, p *Policy) error {
	top := field{root, "", root.line}
	if root.kind == null {
		return d.fail(top, "the policy is empty; it begins with: version: 1")
	}
	err := d.object(top, []string{"version", "default", "min_score", "entities", "rules", "allow"}, func(name string, f field) (err error) {
		switch name {
		case "version":
			if f.text != "1" || f.kind != scalar {
				return d.fail(f, "must be 1")
			}
			p.Version = 1
		case "default":
			p.Default, err = d.mode(f)
			if err == nil && p.Default != pii.ModeToken && p.Default != pii.ModeLabel && p.Default != pii.ModeHMAC && p.Default != pii.ModeDelete && p.Default != pii.ModeKeep {
				err = d.fail(f, "is %q, which not every entity knows; use token, label, hmac, delete or keep", p.Default)
			}
		case "min_score":
			p.MinScore, err = d.score(f)
		case "entities":
			err = d.entities(f, p)
		case "rules":
			err = d.rules(f, p)
		case "allow":
			err = d.allow(f, &p.Allow)
		}
		return err
	})
	if err == nil && p.Version == 0 {
		err = d.fail(top, "the field version is missing; write: version: 1")
	}
	if err != nil {
		return err
	}
	return d.whole(top, p)
}

// whole checks what depends on several fields.
func (d *decoder) whole(top field, p *Policy) error {
	known := pii.Entities()
	for _, r := range p.Rules {
		known = append(known, r.Entity)
	}
	for i, f := range top.keys {
		if f != "entities" {
			continue
		}
		for j, e := range top.list[i].keys {
			at := field{top.list[i].list[j], "entities." + e, top.list[i].at[j]}
			if !slices.Contains(known, e) {
				return d.fail(at, "unknown entity: the known ones are %s, and those of the rules", strings.Join(pii.Entities(), ", "))
			}
			if err := permitted(e, p.Entities[e].Mode, p.Entities[e].Force); err != nil {
				return d.fail(at, "%v", err)
			}
		}
	}
	if p.Default == pii.ModeKeep {
		for _, e := range pii.UniqueEntities() {
			if _, named := p.Entities[e]; !named {
				return d.fail(top, "default is keep, which would keep %s; name a mode for it under entities", e)
			}
		}
	}
	// What is left to go wrong is between the rules.
	if _, err := pii.New(pii.MemoryVault(), p.Options()); err != nil {
		return d.fail(top, "%v", err)
	}
	return nil
}

// permitted says whether a mode may be used for an entity.
func permitted(entity string, m pii.Mode, force bool) error {
	if err := m.Fits(entity); err != nil {
		return err
	}
	if slices.Contains(pii.UniqueEntities(), entity) && !force && (m == pii.ModePartial || m == pii.ModeKeep) {
		return fmt.Errorf("is %s: the law allows no part of a unique identifier (개인정보 보호법 제24조, 제24조의2) to stay without a ground; use token, label, surrogate, hmac or delete, or add force: true", m)
	}
	return nil
}

func (d *decoder) entities(f field, p *Policy) error {
	p.Entities = map[string]Entity{}
	return d.object(f, nil, func(name string, f field) (err error) {
		var e Entity
		if f.kind != mapping {
			e.Mode, err = d.mode(f)
		} else {
			err = d.object(f, []string{"mode", "force"}, func(part string, f field) (err error) {
				if part == "mode" {
					e.Mode, err = d.mode(f)
				} else {
					e.Force, err = d.flag(f)
				}
				return err
			})
			if err == nil && e.Mode == "" {
				err = d.fail(f, "the field mode is missing")
			}
		}
		p.Entities[name] = e
		return err
	})
}

func (d *decoder) rules(f field, p *Policy) error {
	list, err := d.items(f)
	if err != nil {
		return err
	}
	for _, item := range list {
		var r Rule
		if err := d.rule(item, &r); err != nil {
			return err
		}
		p.Rules = append(p.Rules, r)
	}
	return nil
}

func (d *decoder) rule(item field, r *Rule) error {
	err := d.object(item, []string{"name", "entity", "pattern", "words", "words_file", "score", "context", "labels", "mode", "force"}, func(name string, f field) (err error) {
		var more []string
		switch name {
		case "name":
			r.Name, err = d.text(f)
		case "entity":
			r.Entity, err = d.text(f)
		case "pattern":
			r.Pattern, err = d.text(f)
		case "words":
			more, err = d.texts(f, pii.ValidWord)
			r.Words = append(r.Words, more...)
		case "words_file":
			more, err = d.list(f, pii.ValidWord)
			r.Words = append(r.Words, more...)
		case "score":
			r.Score, err = d.score(f)
		case "context":
			r.Context, err = d.texts(f, pii.ValidWord)
		case "labels":
			r.Labels, err = d.texts(f, pii.ValidWord)
		case "mode":
			r.Mode, err = d.mode(f)
		case "force":
			r.Force, err = d.flag(f)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := r.rule().Valid(); err != nil {
		return d.fail(item, "%v", err)
	}
	if r.Mode != "" {
		if err := permitted(r.Entity, r.Mode, r.Force); err != nil {
			return d.fail(item, "mode %v", err)
		}
		if r.Mode == pii.ModeKeep {
			return d.fail(item, "mode is keep; what stays belongs under allow")
		}
	}
	return nil
}

func (d *decoder) allow(f field, a *Allow) error {
	return d.object(f, []string{"values", "file", "patterns"}, func(name string, f field) (err error) {
		var more []string
		switch name {
		case "values":
			more, err = d.texts(f, nil)
			a.Values = append(a.Values, more...)
		case "file":
			more, err = d.list(f, nil)
			a.Values = append(a.Values, more...)
		case "patterns":
			a.Patterns, err = d.texts(f, pii.ValidPattern)
		}
		return err
	})
}

// list reads the file that a field names.
func (d *decoder) list(f field, valid func(string) error) ([]string, error) {
	path, err := d.text(f)
	if err != nil {
		return nil, err
	}
	if d.read == nil {
		return nil, d.fail(f, "a policy that is sent cannot name files; put the values into it")
	}
	data, err := d.read(path)
	if err != nil {
		return nil, d.fail(f, "%v", err)
	}
	values, lines, err := Lines(data)
	if err != nil {
		return nil, d.fail(f, "%s: %v", path, err)
	}
	for i, v := range values {
		if valid == nil {
			break
		}
		if err := valid(v); err != nil {
			return nil, d.fail(f, "%s:%d: %v", path, lines[i], err)
		}
	}
	return values, nil
}

func (d *decoder) items(f field) ([]field, error) {
	if f.kind == null {
		return nil, nil
	}
	if f.kind != sequence {
		return nil, d.fail(f, "expected a list")
	}
	var list []field
	for i, n := range f.list {
		list = append(list, field{n, fmt.Sprintf("%s[%d]", f.path, i+1), n.line})
	}
	return list, nil
}

// texts reads a list of texts.
func (d *decoder) texts(f field, valid func(string) error) ([]string, error) {
	list, err := d.items(f)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, item := range list {
		s, err := d.text(item)
		if err != nil {
			return nil, err
		}
		if valid != nil {
			if err := valid(s); err != nil {
				return nil, d.fail(item, "%v", err)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func (d *decoder) text(f field) (string, error) {
	if f.kind != scalar && f.kind != quoted || strings.TrimSpace(f.node.text) == "" {
		return "", d.fail(f, "expected a text")
	}
	if strings.ContainsFunc(f.node.text, control) {
		return "", d.fail(f, "the text holds a control character")
	}
	return f.node.text, nil
}

func (d *decoder) flag(f field) (bool, error) {
	if f.kind != scalar || f.node.text != "true" && f.node.text != "false" {
		return false, d.fail(f, "must be true or false")
	}
	return f.node.text == "true", nil
}

func (d *decoder) score(f field) (float64, error) {
	v, err := strconv.ParseFloat(f.node.text, 64)
	if f.kind != scalar || err != nil || !(v > 0 && v <= 1) {
		return 0, d.fail(f, "must be a number above 0 and at most 1")
	}
	return v, nil
}

func (d *decoder) mode(f field) (pii.Mode, error) {
	if m := pii.Mode(f.node.text); slices.Contains(pii.Modes(), m) {
		return m, nil
	}
	names := make([]string, len(pii.Modes()))
	for i, m := range pii.Modes() {
		names[i] = string(m)
	}
	return "", d.fail(f, "is no mode: use one of %s", strings.Join(names, ", "))
}
