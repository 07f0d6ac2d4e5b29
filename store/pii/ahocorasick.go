package pii

// automaton is an Aho-Corasick automaton over normalised runes, its trie laid
// out as a double array: a step is two loads, and time is linear in the text
// whatever the words are. Latin letters match without regard to case.
//
// A. V. Aho, M. J. Corasick, "Efficient string matching", CACM 18(6), 1975;
// J.-I. Aoe, "An efficient digital search algorithm by using a double-array
// structure", IEEE Trans. Software Eng. 15(9), 1989.
type automaton struct {
	symbol []uint16 // of runes of the basic plane; 0: in no word
	base   []int32
	check  []int32 // parent of a state; -1: free
	fail   []int32
	out    []output // longest word that ends in a state
}

type output struct {
	length int32 // 0: none
	kind   kind
}

// newAutomaton builds the automaton of words, which must be folded already.
func newAutomaton(words map[string]kind) *automaton {
	a := &automaton{symbol: make([]uint16, 0x10000)}
	type node struct {
		next map[uint16]int
		keys []uint16
		out  output
	}
	nodes := []node{{next: map[uint16]int{}}}
	symbols := uint16(0)
	for w, k := range words {
		cur, n := 0, int32(0)
		for _, r := range w {
			if r > 0xFFFF {
				break
			}
			if a.symbol[r] == 0 {
				symbols++
				a.symbol[r] = symbols
			}
			s := a.symbol[r]
			to, ok := nodes[cur].next[s]
			if !ok {
				to = len(nodes)
				nodes = append(nodes, node{next: map[uint16]int{}})
				nodes[cur].next[s] = to
				nodes[cur].keys = append(nodes[cur].keys, s)
			}
			cur = to
			n++
		}
		nodes[cur].out = output{n, nodes[cur].out.kind | k}
	}
	a.symbol['_'] = a.symbol[' '] // patient_name
	for c := 'A'; c <= 'Z'; c++ {
		a.symbol[c] = a.symbol[c+'a'-'A']
	}

	place := make([]int32, len(nodes)) // node → state
	a.grow(1 + int(symbols))
	a.check[0] = 0
	free := int32(1)
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		state := place[n]
		a.out[state] = nodes[n].out
		if len(nodes[n].keys) == 0 {
			continue
		}
		for free < int32(len(a.check)) && a.check[free] >= 0 {
			free++
		}
		base := max(1, free-int32(nodes[n].keys[0]))
		for !a.fits(base, nodes[n].keys) {
			base++
		}
		a.base[state] = base
		for _, s := range nodes[n].keys {
			to := base + int32(s)
			a.check[to] = state
			place[nodes[n].next[s]] = to
			queue = append(queue, nodes[n].next[s])
		}
	}
	// Failure links, breadth first.
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		for _, s := range nodes[n].keys {
			child := nodes[n].next[s]
			to := place[child]
			if n != 0 {
				a.fail[to] = a.step(a.fail[place[n]], s)
			}
			if a.out[to].length == 0 {
				a.out[to] = a.out[a.fail[to]]
			}
			queue = append(queue, child)
		}
	}
	return a
}

func (a *automaton) grow(n int) {
	for len(a.check) < n {
		a.check = append(a.check, -1)
		a.base = append(a.base, 0)
		a.fail = append(a.fail, 0)
		a.out = append(a.out, output{})
	}
}

func (a *automaton) fits(base int32, keys []uint16) bool {
	for _, s := range keys {
		i := int(base) + int(s)
		a.grow(i + 1)
		if a.check[i] >= 0 {
			return false
		}
	}
	return true
}

// step returns the state after symbol s, which is not 0.
func (a *automaton) step(state int32, s uint16) int32 {
	for {
		if b := a.base[state]; b > 0 {
			if to := int(b) + int(s); to < len(a.check) && a.check[to] == state {
				return int32(to)
			}
		}
		if state == 0 {
			return 0
		}
		state = a.fail[state]
	}
}
