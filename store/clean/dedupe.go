package clean

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"strconv"

	"cloister/store/ingest"
)

// compared bounds the comparisons of one row within a bucket or a cluster, so
// that a set of a million variations of one text still takes linear time.
const compared = 32

// dedupe drops exact and near-duplicates, flags conflicts, and sets groups.
func dedupe(ctx context.Context, recs []ingest.Record, o Options, rep *Report) ([]ingest.Record, error) {
	if !o.KeepDuplicates {
		recs = exact(recs, rep)
	}
	if o.KeepNearDuplicates {
		for i := range recs {
			recs[i].Group = Group(recs[i].Prompt())
		}
		return recs, ctx.Err()
	}
	return near(ctx, recs, o, rep)
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
	b = appendJudgement(b, rec)
	return sha256.Sum256(b)
}

// appendJudgement adds what is thought of the record's answer.
func appendJudgement(b []byte, rec ingest.Record) []byte {
	if rec.Rejected != "" {
		b = strconv.AppendQuote(b, rec.Rejected)
	}
	if rec.Desirable != nil {
		b = strconv.AppendBool(b, *rec.Desirable)
	}
	return b
}

// parsed is a record in normal form. The words, many times as large as their
// text, are made when two records have to be compared, which most never are.
type parsed struct {
	rec       *ingest.Record
	group     string            // of the question
	count     int               // words of the question
	exactTail [sha256.Size]byte // all but the words compared

	asked, answered []word
}

func parse(rec *ingest.Record, group string) parsed {
	p := parsed{rec: rec, group: group}
	if rec.Messages == nil {
		p.exactTail = sha256.Sum256(appendJudgement([]byte(rec.System), *rec))
		return p
	}
	// Turns depend on each other: only their words may differ, not their number.
	var b []byte
	for _, m := range rec.Messages {
		b = strconv.AppendQuote(b, m.Role)
	}
	p.exactTail = sha256.Sum256(appendJudgement(b, *rec))
	return p
}

// question returns the words of what was asked.
func (p *parsed) question() []word {
	if p.asked == nil {
		p.asked = words(p.rec.Prompt())
	}
	return p.asked
}

// answer returns the words of what was answered.
func (p *parsed) answer() []word {
	switch {
	case p.answered != nil:
	case p.rec.Messages == nil:
		p.answered = words(p.rec.Answer)
	default:
		for _, m := range p.rec.Messages {
			if m.Role != ingest.RoleUser {
				p.answered = append(p.answered, words(m.Content)...)
			}
		}
	}
	return p.answered
}

// near drops near-duplicates of earlier rows, flags conflicts, and gives every
// row the group of the first row that asked its question.
func near(ctx context.Context, recs []ingest.Record, o Options, rep *Report) ([]ingest.Record, error) {
	ps, root, err := clusters(ctx, recs)
	if err != nil {
		return nil, err
	}
	kept := map[int][]int{} // root to the rows of the cluster that stay
	out := make([]ingest.Record, 0, len(recs))
	for i, rec := range recs {
		if err := ended(ctx, i); err != nil {
			return nil, err
		}
		r := root[i]
		rec.Group = ps[r].group
		same, conflict := -1, -1
		for _, k := range kept[r][:min(compared, len(kept[r]))] {
			if ps[i].exactTail != ps[k].exactTail {
				continue
			}
			answers := alike(ps[i].answer(), ps[k].answer())
			if answers && alike(ps[i].question(), ps[k].question()) &&
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
	return out, nil
}

// clusters parses the rows and returns for each the first row that asks the
// same question.
func clusters(ctx context.Context, recs []ingest.Record) (ps []parsed, root []int, err error) {
	ps, root = make([]parsed, len(recs)), make([]int, len(recs))
	first := make(map[string]int, len(recs)) // by group
	var distinct []int
	var sigs [][bands]uint64 // of distinct
	for i := range recs {
		if err := ended(ctx, i); err != nil {
			return nil, nil, err
		}
		ws := words(recs[i].Prompt())
		k := key(ws)
		ps[i], root[i] = parse(&recs[i], groupOf(k)), i
		ps[i].count = len(ws)
		if j, ok := first[ps[i].group]; ok {
			root[i] = j
			continue
		}
		first[ps[i].group] = i
		distinct = append(distinct, i)
		sigs = append(sigs, signature(k))
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
			if err := ended(ctx, n); err != nil {
				return nil, nil, err
			}
			for m := n - 1; m >= 0 && n-m <= compared && sigs[bucket[m]][b] == sigs[bucket[n]][b]; m-- {
				i, j := distinct[bucket[n]], distinct[bucket[m]]
				if ps[i].count == ps[j].count && find(root, i) != find(root, j) && misspelt(ps[i].question(), ps[j].question()) {
					unite(root, i, j)
				}
			}
		}
	}
	for i := range root {
		root[i], ps[i].asked = find(root, i), nil
	}
	return ps, root, nil
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
