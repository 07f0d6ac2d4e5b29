package pii

import (
	"net/netip"
)

// findIPs finds IPv4 addresses as four digit groups, and IPv6 addresses around
// colons. Version numbers and section numbers are no addresses.
func findIPs(d *doc, rec *recogniser) {
	for i, g := range d.groups {
		if g.sep != sepDot || i+4 > len(d.groups) {
			continue
		}
		gs := d.groups[i : i+4]
		start, end := int(g.start), int(gs[3].end)
		if gs[1].sep != sepDot || gs[2].sep != sepDot || !d.clear(start, end) ||
			i > 0 && d.groups[i-1].sep == sepDot || gs[3].sep == sepDot || d.at(start-1) == '-' {
			continue
		}
		small, valid := true, true
		for _, g := range gs {
			n := g.len()
			v := 1000
			if n <= 3 {
				v = d.number(int(g.start), int(g.end))
			}
			valid = valid && v <= 255 && (n == 1 || d.r[g.start] != '0')
			small = small && v < 10
		}
		if !valid || isLocal(d.slice(start, end)) {
			continue
		}
		score, why := 0.85, "four octets"
		if small {
			score, why = 0.45, "four small numbers"
		}
		if h, ok := d.near(start, window, kIP|kVersion); ok {
			if h.kind&kIP != 0 {
				score, why = 0.98, why+", word nearby"
			} else {
				score, why = 0.2, why+", but a version"
			}
		}
		d.add(rec, start, end, score, why)
	}
	d.findIPv6(rec)
}

func (d *doc) findIPv6(rec *recogniser) {
	last := 0
	for _, at := range d.marks {
		at := int(at)
		if at < last || d.r[at] != ':' {
			continue
		}
		start := at
		for start > last && at-start < 5 && isHex(d.r[start-1]) {
			start--
		}
		end, colons, digits := start, 0, false
		for end < len(d.r) && end-start < 40 && (isHex(d.r[end]) || d.r[end] == ':') {
			if d.r[end] == ':' {
				colons++
			}
			digits = digits || d.cls[end] == cDigit
			end++
		}
		d.steps += end - start
		last = end
		if d.at(end-1) == ':' && d.at(end-2) != ':' {
			end--
			colons--
		}
		if colons < 2 || !digits || end-start < 6 || !d.clear(start, end) {
			continue
		}
		if a, err := netip.ParseAddr(d.slice(start, end)); err == nil && a.Is6() {
			d.add(rec, start, end, 0.95, "shape of IPv6")
		}
	}
}

// isLocal says whether an IPv4 address is no machine's in particular.
func isLocal(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && (a.IsLoopback() || a.IsUnspecified() || s == "255.255.255.255")
}

func isHex(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F'
}
