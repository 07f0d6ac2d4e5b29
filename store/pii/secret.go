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

// secretAfter proposes the word behind a label such as "password:" that ends at
// pos. It must mix letters with digits or marks, for "비밀번호: 변경" tells nothing.
func (d *doc) secretAfter(rec *recogniser, pos int) {
	start, ok := d.secretStart(pos)
	if !ok {
		return
	}
	end, letters, others := start, 0, 0
	for end < len(d.r) && end-start < 200 && d.r[end] > ' ' && d.r[end] < 127 && !isQuote(d.r[end]) && d.r[end] != '<' {
		if d.cls[end].latin() {
			letters++
		} else {
			others++
		}
		end++
	}
	d.steps += end - start
	for end > start && isClosing(d.r[end-1]) && d.r[end-1] != '!' && d.r[end-1] != '*' && d.r[end-1] != '~' {
		end--
		others--
	}
	if end-start >= 4 && others > 0 && d.cls[start] != cOther && (letters > 0 || end-start <= 12) {
		d.add(rec, start, end, 0.85, "label")
	}
}

// secretStart returns where the value begins behind ":", "=", "은" or "is".
func (d *doc) secretStart(pos int) (start int, ok bool) {
	for i := pos; i < len(d.r) && i < pos+6; i++ {
		switch r := d.r[i]; {
		case r == ':' || r == '=' || r == '은' || r == '는':
			ok = true
		case d.cls[i] == cSpace || isQuote(r):
		case d.hasPrefix(i, "is "):
			ok = true
			i += 2
		default:
			return i, ok
		}
	}
	return 0, false
}

func isQuote(r rune) bool { return r == '"' || r == '\'' || r == '`' }

// maxKey is the longest private key, in runes, that is looked for.
const maxKey = 20000

// findPrivateKeys finds blocks in PEM form.
func (d *doc) findPrivateKeys(rec *recogniser) {
	next := 0
	for _, at := range d.marks {
		start := int(at)
		if start < next || d.r[start] != '-' || !d.hasPrefix(start, "-----begin ") {
			continue
		}
		limit := min(len(d.r), start+maxKey)
		end := start + len("-----begin ")
		for end < limit && !(d.r[end] == '-' && d.hasPrefix(end, "-----end ")) {
			end++
		}
		d.steps += end - start
		next = end
		title := strings.ToUpper(d.slice(start, min(len(d.r), start+48)))
		if end == limit || !strings.Contains(title, "PRIVATE KEY") {
			continue
		}
		for end += len("-----end "); end < len(d.r) && d.cls[end] != cNewline && end < limit+64; end++ {
		}
		d.add(rec, start, end, 1, "PEM block")
		next = end
	}
}
