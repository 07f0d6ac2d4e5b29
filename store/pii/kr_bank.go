package pii

import "sync"

// bankShapes are the groupings of Korean banks' account numbers.
var bankShapes = [][]int{
	{6, 2, 6},    // KB, Korea Post
	{3, 6, 2, 3}, // IBK
	{3, 2, 6},    // SC, old numbers of several banks
	{3, 3, 6},    // Shinhan
	{4, 3, 6},    // Woori
	{3, 6, 5},    // Hana
	{3, 4, 4, 2}, // NongHyup, Busan
	{4, 2, 7},    // KakaoBank
	{4, 4, 4},    // Toss Bank
	{4, 4, 4, 1}, // MG
	{3, 2, 4, 3}, // old KB
	{2, 2, 6},    // old
	{3, 4, 6},    // Citi
	{3, 3, 7},    // KEB
	{4, 2, 6},    // old KB
	{3, 6, 4},    // Hana, old
	{3, 2, 5, 1}, // Daegu
	{3, 2, 6, 1}, // Daegu, Gyeongnam
	{3, 3, 6, 1},
	{3, 4, 4, 1},
	{3, 4, 4, 3},
	{6, 2, 5},
	{3, 6, 6},
	{1, 3, 3, 6},
	{3, 4, 7},
	{3, 3, 4, 3},
	{3, 3, 3, 3},
	{4, 2, 4, 3},
}

// bankLengths holds the shapes as numbers of four bits for each group.
var bankLengths = sync.OnceValue(func() map[uint]bool {
	m := make(map[uint]bool)
	for _, shape := range bankShapes {
		key := uint(0)
		for _, n := range shape {
			key = key<<4 | uint(n)
		}
		m[key] = true
	}
	return m
})

// findBankAccounts finds account numbers near the name of a bank or a word such
// as 계좌. There is no public check digit, so that without such a word only
// shapes that nothing else has are proposed, and with a low score.
func findBankAccounts(d *doc, rec *recogniser) {
	for _, list := range d.lists() {
		for i, g := range list {
			start := int(g.start)
			end, n, known := bankShape(list, i)
			if n == 0 || !d.clear(start, end) || !alone(list, i, n) {
				continue
			}
			label := d.label(start)
			near, ok := d.near(start, window, kBank|kBankName|kIDs)
			if !ok {
				near, ok = d.after(end, 12, kBank|kBankName)
			}
			switch {
			case label&kBankName != 0 || label&kBank != 0 && known:
				d.add(rec, start, end, 0.97, "label and shape")
			case label&kBank != 0:
				d.add(rec, start, end, 0.85, "label")
			case label&kIDs != 0:
			case ok && near.kind&(kBank|kBankName) != 0 && known:
				d.add(rec, start, end, 0.75, "word nearby and shape")
			case ok && near.kind&(kBank|kBankName) != 0 && n > 1:
				d.add(rec, start, end, 0.55, "word nearby")
			}
		}
	}
}

// bankShape returns the end and the number of groups of what can be an account
// number that begins with group i; n is 0 if there is none.
func bankShape(list []group, i int) (end, n int, known bool) {
	for k, lengths := 0, uint(0); k < 4 && i+k < len(list) && list[i+k].len() < 8; k++ {
		g := list[i+k]
		lengths = lengths<<4 | uint(g.len())
		if k > 1 && bankLengths()[lengths] {
			end, n, known = int(g.end), k+1, true
		}
		if g.sep < sepNone || g.sep > sepWide {
			break
		}
	}
	if known {
		return end, n, true
	}
	g := list[i]
	if g.len() >= 10 && g.len() <= 16 {
		return int(g.end), 1, g.len() >= 11 && g.len() <= 14
	}
	digits := 0
	for n := 0; n < 5 && i+n < len(list); n++ {
		g := list[i+n]
		digits += g.len()
		if g.len() > 8 || digits > 16 {
			break
		}
		if g.sep != sepDash {
			if n >= 1 && digits >= 10 {
				return int(g.end), n + 1, false
			}
			break
		}
	}
	return 0, 0, false
}
