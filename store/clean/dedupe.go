package clean

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strconv"

	"cloister/store/ingest"
)

// compared bounds the comparisons of one row within a bucket or a cluster, so
// that a set of a million variations of one text still takes linear time.
const compared = 32

// dedupe drops exact and near-duplicates, flags conflicts, and sets groups.
func dedupe(recs []ingest.Record, o Options, rep *Report) []ingest.Record {
	if !o.KeepDuplicates {
		recs = exact(recs, rep)
	}
	if o.KeepNearDuplicates {
		for i := range recs {
			recs[i].Group = Group(recs[i].Prompt())
		}
		return recs
	}
	return near(recs, o, rep)
}

// exact drops rows that are the same as an earlier one.
func exact(recs []ingest.Record, rep *Report) []ingest.Record {
	seen := make(map[[sha256.Size]byte]int, len(recs))
	out := recs[:0]
	for _, rec := range recs {
		h := fingerprint(rec)
		if first, ok := seen[h]; ok {
			rep.Dropped = append(rep.Dropped, Drop{Row: rec.Row, Reason: Duplicate, DuplicateOf: first})
			continue
		}
		seen[h] = rec.Row
		out = append(out, rec)
	}
	return out
}

// fingerprint hashes everything of a record that is trained on.
func fingerprint(rec ingest.Record) [sha256.Size]byte {
	var b []byte
	for _, m := range rec.Turns() {
		b = strconv.AppendQuote(b, m.Role)
		b = strconv.AppendQuote(b, m.Content)
		if m.Weight != nil {
			b = strconv.AppendInt(b, int64(*m.Weight), 10)
		}
	}
	return sha256.Sum256(b)
}

// parsed is a record in normal form.
type parsed struct {
	question, answer []word
	key              string
	exactTail        [sha256.Size]byte // of a conversation: all but the words compared
}

func parse(rec ingest.Record) parsed {
	p := parsed{question: words(rec.Prompt())}
	if rec.Messages == nil {
		p.answer = words(rec.Answer)
		p.exactTail = sha256.Sum256([]byte(rec.System))
	} else {
		// Turns depend on each other: only their words may differ, not their number.
		var b []byte
		for _, m := range rec.Messages {
			b = strconv.AppendQuote(b, m.Role)
			if m.Role != ingest.RoleUser {
				p.answer = append(p.answer, words(m.Content)...)
			}
		}
		p.exactTail = sha256.Sum256(b)
	}
	p.key = key(p.question)
	return p
}

// near drops near-duplicates of earlier rows, flags conflicts, and gives every
// row the group of the first row that asked its question.
func near(recs []ingest.Record, o Options, rep *Report) []ingest.Record {
	ps := make([]parsed, len(recs))
	for i, rec := range recs {
		ps[i] = parse(rec)
	}
	root := clusters(ps)
	kept := map[int][]int{} // root to the rows of the cluster that stay
	groups := map[int]string{}
	out := make([]ingest.Record, 0, len(recs))
	for i, rec := range recs {
		r := root[i]
		if _, ok := groups[r]; !ok {
			groups[r] = groupOf(ps[i].key)
		}
		rec.Group = groups[r]
		same, conflict := -1, -1
		for _, k := range kept[r][:min(compared, len(kept[r]))] {
			if ps[i].exactTail != ps[k].exactTail {
				continue
			}
			answers := alike(ps[i].answer, ps[k].answer)
			if answers && alike(ps[i].question, ps[k].question) &&
				!(o.KeepDuplicates && fingerprint(rec) == fingerprint(recs[k])) {
				same = k
				break
			}
			if !answers && conflict < 0 {
				conflict = k
			}
		}
		if same >= 0 {
			rep.Dropped = append(rep.Dropped, Drop{Row: rec.Row, Reason: NearDuplicate, DuplicateOf: recs[same].Row})
			continue
		}
		if conflict >= 0 {
			rep.Flags = append(rep.Flags, Flag{Row: rec.Row, Flag: Conflict, Other: recs[conflict].Row})
		}
		kept[r] = append(kept[r], i)
		out = append(out, rec)
	}
	return out
}

// clusters returns for each row the first row that asks the same question.
func clusters(ps []parsed) []int {
	root := make([]int, len(ps))
	first := make(map[string]int, len(ps))
	var distinct []int
	for i := range ps {
		root[i] = i
		if j, ok := first[ps[i].key]; ok {
			root[i] = j
			continue
		}
		first[ps[i].key] = i
		distinct = append(distinct, i)
	}
	sigs := make([][bands]uint64, len(distinct))
	for n, i := range distinct {
		sigs[n] = signature(ps[i].key)
	}
	bucket := make([]int, len(distinct))
	for b := range bands {
		for n := range bucket {
			bucket[n] = n
		}
		slices.SortFunc(bucket, func(x, y int) int {
			return cmp.Or(cmp.Compare(sigs[x][b], sigs[y][b]), cmp.Compare(x, y))
		})
		for n := range bucket {
			for m := n - 1; m >= 0 && n-m <= compared && sigs[bucket[m]][b] == sigs[bucket[n]][b]; m-- {
				i, j := distinct[bucket[n]], distinct[bucket[m]]
				a, b := ps[i].question, ps[j].question
				if find(root, i) != find(root, j) && len(a) == len(b) && misspelt(a, b) {
					unite(root, i, j)
				}
			}
		}
	}
	for i := range root {
		root[i] = find(root, i)
	}
	return root
}

// find returns the representative of i, unite makes the earlier row that of both.
func find(root []int, i int) int {
	for root[i] != i {
		root[i] = root[root[i]]
		i = root[i]
	}
	return i
}

func unite(root []int, i, j int) {
	i, j = find(root, i), find(root, j)
	root[max(i, j)] = min(i, j)
}
