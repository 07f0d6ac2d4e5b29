package pii

import "strings"

// findSecrets finds keys of services by their prefixes, private keys, passwords
// in addresses, and what stands behind the label of a password.
func findSecrets(d *doc, rec *recogniser) {
	next := 0
	for _, w := range d.words {
		start := int(w.start)
		if w.hangul || start < next || d.class(start-1).word() || d.r[start] >= 128 {
			continue
		}
		if p := d.authorization(start, int(w.end)); p > 0 {
			if end := d.secretEnd(p); end-p >= 16 && d.digitsIn(p, end) > 1 {
				d.add(rec, p, end, 0.85, "word of an authorization")
				next = end
			}
			continue
		}
		for _, p := range secretStarts()[d.r[start]] {
			if !d.exactPrefix(start, p.prefix) {
				continue
			}
			tail := start + len(p.prefix)
			end := d.secretEnd(start)
			next = end
			if end-tail >= p.least && d.digitsIn(tail, end) > 0 {
				d.add(rec, start, end, 0.97, "prefix of a key")
				break
			}
		}
	}
	for _, h := range d.hits {
		if h.kind&kSecret != 0 {
			d.secretAfter(rec, int(h.end))
		}
	}
	d.addressPasswords(rec)
	d.findPrivateKeys(rec)
}

// authorization returns where the value begins behind "Bearer " or "Basic ", or
// the path behind the address of a webhook; 0 if the word r[start:end] is none.
func (d *doc) authorization(start, end int) int {
	switch end - start {
	case 5:
		if d.hasPrefix(start, "hooks.slack.com/services/") {
			return start + len("hooks.slack.com/services/")
		}
		if d.hasPrefix(start, "basic ") {
			return end + 1
		}
	case 6:
		if d.hasPrefix(start, "bearer ") {
			return end + 1
		}
	}
	return 0
}

// secretEnd returns where the key ends that begins at start.
func (d *doc) secretEnd(start int) int {
	end := start
	for end < len(d.r) && isSecretRune(d.r[end], d.cls[end]) {
		end++
	}
	d.steps += end - start
	for end > start && !d.cls[end-1].word() && d.r[end-1] != '=' {
		end--
	}
	return end
}

func (d *doc) digitsIn(from, to int) int {
	n := 0
	for ; from < to; from++ {
		if d.cls[from] == cDigit {
			n++
		}
	}
	return n
}

// addressPasswords finds the password in "postgres://user:password@host", and
// the key of a bot of Telegram, "123456789:AA…".
func (d *doc) addressPasswords(rec *recogniser) {
	for _, at := range d.ats {
		p := int(at)
		for p > 0 && int(at)-p < 64 && d.r[p-1] > ' ' && d.r[p-1] < 127 && d.r[p-1] != ':' && d.r[p-1] != '/' && d.r[p-1] != '@' {
			p--
		}
		d.steps += int(at) - p
		if p == int(at) || d.at(p-1) != ':' {
			continue
		}
		q := p - 1
		for q > 0 && p-q < 64 && (d.cls[q-1].word() || d.r[q-1] == '_' || d.r[q-1] == '-' || d.r[q-1] == '.') {
			q--
		}
		d.steps += p - q
		if d.at(q-1) == '/' && d.at(q-2) == '/' && d.at(q-3) == ':' {
			d.add(rec, p, int(at), 0.98, "password in an address")
		}
	}
	for _, g := range d.groups {
		if end := int(g.end); g.len() >= 8 && g.len() <= 10 && d.at(end) == ':' && d.exactPrefix(end+1, "AA") {
			if e := d.secretEnd(end + 1); e-end == 36 && d.clear(int(g.start), int(g.end)) {
				d.add(rec, int(g.start), e, 0.97, "key of a bot")
			}
		}
	}
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
	if d.at(end) == '(' || d.at(end-1) == '(' { // a call: "암호: pam_start()"
		return
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
		case (r == '을' || r == '를') && i == pos && d.class(i+1) == cSpace && d.looksSecret(i+2): // "비번을 vKlw003x로"
			return i + 2, true
		case d.cls[i] == cSpace && i == pos && d.looksSecret(i+1):
			return i + 1, true
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

// looksSecret says whether what begins at r[p] can only be a password, so that
// no mark is needed before it: "비번 vKlw003!xY".
func (d *doc) looksSecret(p int) bool {
	letters, digits, marks := 0, 0, 0
	q := p
	for ; q < len(d.r) && q-p < 40 && d.r[q] > ' ' && d.r[q] < 127 && d.r[q] != ','; q++ {
		switch {
		case d.cls[q] == cDigit:
			digits++
		case d.cls[q].latin():
			letters++
		case strings.ContainsRune("!@#$%^&*", d.r[q]):
			marks++
		case d.r[q] == '(' || d.r[q] == ':' || d.r[q] == '/' || d.r[q] == '.':
			return false
		}
	}
	if letters == 0 && marks == 1 && digits >= 4 && digits <= 8 { // of a door: "2938*"
		last := d.at(q - 1)
		return last == '*' || last == '#'
	}
	return letters > 1 && digits > 0 && (q-p >= 8 || q-p >= 6 && marks > 0)
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
