package pii

import "strings"

// secretPrefixes begin the keys of well-known services (compare the rules of
// gitleaks, MIT), with the least number of further characters.
var secretPrefixes = []struct {
	prefix string
	least  int
}{
	{"sk-", 20}, {"sk_live_", 16}, {"sk_test_", 16}, {"rk_live_", 16}, {"pk_live_", 16}, {"ghp_", 30}, {"gho_", 30},
	{"ghu_", 30}, {"ghs_", 30}, {"github_pat_", 30}, {"glpat-", 18}, {"xoxb-", 20}, {"xoxp-", 20}, {"xoxa-", 20},
	{"AKIA", 16}, {"ASIA", 16}, {"AIza", 30}, {"ya29.", 20}, {"eyJ", 40}, {"npm_", 30}, {"hf_", 30}, {"SG.", 40},
	{"pypi-", 40}, {"dop_v1_", 40}, {"AGE-SECRET-KEY-", 40},
}

// findSecrets finds keys of services by their prefixes, private keys, and what
// stands behind the label of a password.
func findSecrets(d *doc, rec *recogniser) {
	next := 0
	for _, w := range d.words {
		start := int(w.start)
		if w.hangul || start < next || d.class(start-1).word() {
			continue
		}
		for _, p := range secretPrefixes {
			if rune(p.prefix[0]) != d.r[start] || !d.exactPrefix(start, p.prefix) {
				continue
			}
			end := start
			for end < len(d.r) && isSecretRune(d.r[end], d.cls[end]) {
				end++
			}
			for end > start && !d.cls[end-1].word() {
				end--
			}
			if end-start >= len(p.prefix)+p.least {
				d.add(rec, start, end, 0.97, "prefix of a key")
				next = end
				break
			}
		}
	}
	for _, h := range d.hits {
		if h.kind&kSecret != 0 {
			d.secretAfter(rec, int(h.end))
		}
	}
	d.findPrivateKeys(rec)
}

// exactPrefix says whether s stands at r[at:], capitals as they are.
func (d *doc) exactPrefix(at int, s string) bool {
	for _, r := range s {
		if d.at(at) != r {
			return false
		}
		at++
	}
	return true
}

func isSecretRune(r rune, c class) bool {
	return r < 128 && (c.word() || r == '-' || r == '_' || r == '.' || r == '/' || r == '+' || r == '=')
}

// secretAfter proposes the word behind a label such as "password:". It must mix
// letters with digits or marks, for "비밀번호: 변경" tells nothing.
func (d *doc) secretAfter(rec *recogniser, pos int) {
	i, mark := pos, false
	for i < len(d.r) && i < pos+6 {
		switch r := d.r[i]; {
		case r == ':' || r == '=' || r == '은' || r == '는':
			mark = true
		case d.cls[i] == cSpace || r == '"' || r == '\'' || r == '`':
		case d.hasPrefix(i, "is "):
			mark = true
			i += 2
		default:
			goto value
		}
		i++
	}
value:
	if !mark {
		return
	}
	start, letters, others := i, 0, 0
	for i < len(d.r) && d.r[i] > ' ' && d.r[i] < 127 && d.r[i] != '"' && d.r[i] != '\'' && d.r[i] != '<' && d.r[i] != '`' {
		if d.cls[i].latin() {
			letters++
		} else {
			others++
		}
		i++
	}
	for i > start && (isClosing(d.r[i-1]) && d.r[i-1] != '!' && d.r[i-1] != '*' && d.r[i-1] != '~') {
		i--
		others--
	}
	if i-start >= 4 && others > 0 && (letters > 0 || i-start <= 12) {
		d.add(rec, start, i, 0.85, "label")
	}
}

// findPrivateKeys finds blocks in PEM form.
func (d *doc) findPrivateKeys(rec *recogniser) {
	const dashes = "-----"
	for i := 0; i+len(dashes) < len(d.r); i++ {
		if d.r[i] != '-' {
			continue
		}
		if !d.hasPrefix(i, "-----begin ") {
			for i+1 < len(d.r) && d.r[i+1] == '-' {
				i++
			}
			continue
		}
		limit := min(len(d.r), i+20000)
		end := i + 11
		for end < limit && !d.hasPrefix(end, "-----end ") {
			end++
		}
		label := d.slice(i, min(len(d.r), i+48))
		if end < limit && strings.Contains(strings.ToUpper(label), "PRIVATE KEY") {
			end += 9
			for end < limit && d.cls[end] != cNewline {
				end++
			}
			d.add(rec, i, end, 1, "PEM block")
		}
		i = end
	}
}
