package pii

// look says what of a text has to be looked at.
type look uint8

const (
	lookNothing look = iota
	lookNear         // the surroundings of what was masked last
	lookAll
)

// A place can have changed for a recogniser if a new mask token stands within the
// core around it. What else the recogniser sees of the place ends within the
// margins.
const (
	lookCore   = 48
	lookBefore = 64
	lookBehind = 160
)

// surroundings is a stretch r[from:to] of a text in which recognisers look again;
// what they propose within r[lo:hi] counts.
type surroundings struct{ from, lo, hi, to int }

// nextSurroundings returns those of the first of the new tokens and of those that
// stand close behind it, and the number of these.
func (d *doc) nextSurroundings(fresh []int32) (s surroundings, n int) {
	last := int(fresh[0])
	for n = 1; n < len(fresh) && int(fresh[n])-last <= 2*lookCore; n++ {
		last = int(fresh[n])
	}
	s.lo, s.hi = max(0, int(fresh[0])-lookCore), min(len(d.r), last+1+lookCore)
	s.from, s.to = max(0, s.lo-lookBefore), min(len(d.r), s.hi+lookBehind)
	return s, n
}

// whereToLook says what to look at once more after masking: in a long text only
// what stands near, if that is less than three fifths of it.
func (d *doc) whereToLook() look {
	size := 0
	for fresh := d.fresh; len(fresh) > 0; {
		s, n := d.nextSurroundings(fresh)
		size += s.to - s.from
		fresh = fresh[n:]
	}
	if 5*size < 3*len(d.r) {
		return lookNear
	}
	return lookAll
}

// refresh scans d if its text has changed since it was scanned.
func (d *doc) refresh() {
	if d.stale {
		d.clearScan()
		d.scan()
	}
}

// around lets the recognisers look at the surroundings of what was masked last in
// d, and returns what they choose there.
func (rec *record) around(d *doc) (chosen []cand) {
	for fresh := d.fresh; len(fresh) > 0; {
		s, n := d.nextSurroundings(fresh)
		fresh = fresh[n:]
		sub := d.part(s.from, s.to)
		rec.m.recognise(sub)
		found := rec.m.choose(sub, rec.m.minScore)
		rec.names.confirm(sub, found)
		if rec.names.find(sub, found) {
			found = rec.m.choose(sub, rec.m.minScore)
		}
		for _, c := range found {
			c.start, c.end = c.start+s.from, c.end+s.from
			if c.start >= s.lo && c.start < s.hi && (c.end < s.to || s.to == len(d.r)) && (len(chosen) == 0 || c.start >= chosen[len(chosen)-1].end) {
				chosen = append(chosen, c)
			}
		}
		d.steps += sub.steps
		sub.free()
	}
	return chosen
}

// part returns r[from:to] as a text of its own, scanned.
func (d *doc) part(from, to int) *doc {
	sub := docs.Get().(*doc)
	sub.own, sub.keep = d.own, d.keep
	sub.reset("")
	sub.r, sub.cls = append(sub.r, d.r[from:to]...), append(sub.cls, d.cls[from:to]...)
	for _, s := range d.soft {
		if int(s) >= from && int(s) <= to {
			sub.soft = append(sub.soft, s-int32(from))
		}
	}
	sub.scanLists()
	for _, c := range d.cells {
		if int(c.pos) >= from && int(c.pos) < to {
			sub.cells = append(sub.cells, cell{c.pos - int32(from), c.kind})
		}
	}
	sub.scanContext()
	sub.scanDates()
	return sub
}
