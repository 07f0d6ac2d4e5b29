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
	states []state
	out    []output // longest words that end in states; the first is none
}

// state is all that a step needs, in one place of the memory.
type state struct {
	base  int32
	check int32 // parent; -1: free
	fail  int32
	out   int32 // index in out
}

// ends returns the longest word that ends in a state.
func (a *automaton) ends(state int32) output { return a.out[a.states[state].out] }

type output struct {
	length int32 // 0: none
	kind   kind
}

// trieNode is a node of the trie that an automaton is laid out from.
type trieNode struct {
	next  map[uint16]int // by symbol
	keys  []uint16       // of next, in the order of insertion
	out   output
	place int32 // the node's state
}

// newAutomaton builds the automaton of words, which must be folded already.
func newAutomaton(words map[string]kind) *automaton {
	a := &automaton{symbol: make([]uint16, 0x10000), out: make([]output, 1)}
	nodes, symbols := a.buildTrie(words)
	a.symbol['_'] = a.symbol[' '] // patient_name
	for c := 'A'; c <= 'Z'; c++ {
		a.symbol[c] = a.symbol[c+'a'-'A']
	}
	a.grow(1 + symbols)
	a.states[0].check = 0
	order := a.layOut(nodes)
	a.linkFailures(nodes, order)
	return a
}

// buildTrie returns the trie of words and the number of symbols, and numbers these.
func (a *automaton) buildTrie(words map[string]kind) (nodes []trieNode, symbols int) {
	nodes = []trieNode{{next: map[uint16]int{}}}
	for w, k := range words {
		cur, n := 0, int32(0)
		for _, r := range w {
			if r > 0xFFFF {
				break
			}
			if a.symbol[r] == 0 {
				symbols++
				a.symbol[r] = uint16(symbols)
			}
			s := a.symbol[r]
			to, ok := nodes[cur].next[s]
			if !ok {
				to = len(nodes)
				nodes = append(nodes, trieNode{next: map[uint16]int{}})
				nodes[cur].next[s] = to
				nodes[cur].keys = append(nodes[cur].keys, s)
			}
			cur = to
			n++
		}
		nodes[cur].out = output{n, nodes[cur].out.kind | k}
	}
	return nodes, symbols
}

// layOut gives each node a place in the double array, and returns the nodes
// breadth first. A stretch in which a node found nearly no room is not tried
// again, so that lists of many thousand words take no longer for each word.
func (a *automaton) layOut(nodes []trieNode) (order []int) {
	free := int32(1) // the first place that may be
	order = append(order, 0)
	for i := 0; i < len(order); i++ {
		n := &nodes[order[i]]
		if n.out.length > 0 {
			a.states[n.place].out = int32(len(a.out))
			a.out = append(a.out, n.out)
		}
		if len(n.keys) == 0 {
			continue
		}
		for free < int32(len(a.states)) && a.states[free].check >= 0 {
			free++
		}
		first := int32(n.keys[0])
		base := max(1, free-first)
		from, taken := base, int32(0)
		for ; !a.fits(base, n.keys); base++ {
			if a.states[base+first].check >= 0 {
				taken++
			}
		}
		if tried := base - from; tried > 256 && taken > tried/20*19 {
			free = max(free, base+first)
		}
		a.states[n.place].base = base
		for _, s := range n.keys {
			to := base + int32(s)
			a.states[to].check = n.place
			nodes[n.next[s]].place = to
			order = append(order, n.next[s])
		}
	}
	return order
}

// linkFailures sets where each state goes on when no child fits; order is
// breadth first.
func (a *automaton) linkFailures(nodes []trieNode, order []int) {
	for _, i := range order {
		n := &nodes[i]
		for _, s := range n.keys {
			to := nodes[n.next[s]].place
			if i != 0 {
				a.states[to].fail = a.step(a.states[n.place].fail, s)
			}
			if a.states[to].out == 0 {
				a.states[to].out = a.states[a.states[to].fail].out
			}
		}
	}
}

func (a *automaton) grow(n int) {
	for len(a.states) < n {
		a.states = append(a.states, state{check: -1})
	}
}

func (a *automaton) fits(base int32, keys []uint16) bool {
	for _, s := range keys {
		i := int(base) + int(s)
		a.grow(i + 1)
		if a.states[i].check >= 0 {
			return false
		}
	}
	return true
}

// next returns the state after a rune of a text: 0, where all words begin, if it
// is in no word.
func (a *automaton) next(from int32, r rune) int32 {
	if r > 0xFFFF || a.symbol[r] == 0 {
		return 0
	}
	return a.step(from, a.symbol[r])
}

// step returns the state after symbol s, which is not 0.
func (a *automaton) step(from int32, s uint16) int32 {
	for {
		x := &a.states[from]
		if to := int(x.base) + int(s); x.base > 0 && to < len(a.states) && a.states[to].check == from {
			return int32(to)
		}
		if from == 0 {
			return 0
		}
		from = x.fail
	}
}
